/**
 * `npm test`: installs what the tests need, checks the sources, builds the binary and runs every test. The same command
 * runs before a change lands.
 */
import { spawnSync } from "node:child_process"
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { bin, build, install, natsServer, root, run, say } from "./setup.mjs"

const step = (what, command, args) => {
  say(what)
  const began = Date.now()
  run(command, args)
  console.log(`(${((Date.now() - began) / 1000).toFixed(0)} s)`)
}

install()
natsServer()
step("Types", bin("tsc"), ["-p", "."])
step("Format and lint", bin("biome"), ["ci", "--error-on-warnings", "."])
step("Who imports whom", bin("bun"), ["scripts/imports.ts"])
build()

say("Tests")
const results = join(root, "node_modules", ".test-results.json")
rmSync(results, { force: true })
const { status } = spawnSync(
  bin("bun"),
  [
    ...["--bun", "node_modules/.bin/vitest", "run", "--pool=threads"],
    ...["--reporter=default", "--reporter=json", `--outputFile.json=${results}`, ...process.argv.slice(2)]
  ],
  { cwd: root, stdio: "inherit" }
)
const { numFailedTests, numPassedTests, numPendingTests } = JSON.parse(readFileSync(results, "utf8"))
console.log(`${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`)
process.exit(status ?? 1)
