/**
 * `npm test`: installs what the tests need, checks the sources, builds the binary and runs every test. The same command
 * runs before a change lands.
 */
import { spawnSync } from "node:child_process"
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { bin, build, install, root, run, say } from "./setup.mjs"

/** True where the program can be called. */
const has = (command, ...args) => spawnSync(command, args, { stdio: "ignore" }).status === 0

/** Debian's nats-server. Without it the tests that need one say so and fail. */
const natsServer = () => {
  if (has("nats-server", "--version")) return
  const isRoot = process.getuid?.() === 0
  const sudo = isRoot ? [] : has("sudo", "-n", "true") ? ["sudo", "-n"] : undefined
  if (!has("apt-get", "--version") || sudo === undefined) {
    console.error(
      "nats-server is not installed, and this script cannot install it " +
        `(${sudo === undefined ? "it is neither root nor may it use sudo without a password" : "there is no apt-get"}).\n` +
        "Install it with your system's package manager, for example: sudo apt-get install nats-server"
    )
    process.exit(1)
  }
  say("Installing nats-server from Debian's packages")
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  const [apt, ...args] = [...sudo, "apt-get"]
  run(apt, [...args, "update", "-qq"], { env })
  run(apt, [...args, "install", "-y", "-qq", "--no-install-recommends", "nats-server"], { env })
}

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
