/**
 * `npm start`: from a fresh checkout to two agents at work. Installs, builds, and runs examples/quickstart.json with
 * Anthropic credentials where the environment has some, and with the offline stand-in where not.
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { build, install, root, run, say, startStandin } from "./setup.mjs"

const CREDENTIALS = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"]

install()
build()
mkdirSync(join(root, "examples", "workspace"), { recursive: true })
const args = ["run", "examples/quickstart.json", "--once"]
const found = CREDENTIALS.find((name) => process.env[name])
if (found !== undefined) {
  say(`Running examples/quickstart.json with the credentials in ${found}: this costs a few cents`)
  run(join(root, "dist/mister-smith"), args)
} else {
  const standin = await startStandin("--script", "examples/quickstart.standin.json")
  say("OFFLINE: no Anthropic credentials were found in the environment")
  console.log(`    (looked for ${CREDENTIALS.join(", ")})`)
  console.log("    The agents are real Claude CLI processes, but a stand-in on this machine")
  console.log(
    `    (${standin.url}) plays the model. Its answers are written down in examples/quickstart.standin.json.\n`
  )
  run(join(root, "dist/mister-smith"), args, {
    env: { ...process.env, ANTHROPIC_BASE_URL: standin.url, ANTHROPIC_API_KEY: "offline-stand-in" }
  })
  standin.stop()
}
say("Done. See examples/quickstart.json for what was asked, and docs/config.md for what can be.")
process.exit(0)
