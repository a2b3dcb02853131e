/**
 * What the README's two commands share: installing what the project needs on a machine that has only Node and npm.
 * Plain JavaScript for Node, because nothing else is there yet.
 */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { styleText } from "node:util"

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
export const bin = (name) => join(root, "node_modules", ".bin", name)

const bold = (text) => (process.stdout.isTTY && !process.env.NO_COLOR ? styleText("bold", text) : text)

/** Says what is being done, so that nobody waits in the dark. */
export const say = (text) => console.log(`\n${bold(`==> ${text}`)}`)

/** Runs a program in the project, shows what it prints, and ends this one where it fails. */
export const run = (command, args, options = {}) => {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options })
  if (error) fail(`${command} could not be started: ${error.message}`)
  if (status !== 0) fail(`${[command, ...args].join(" ").slice(0, 200)} ended with ${status}`)
}

export const fail = (text) => {
  console.error(text)
  process.exit(1)
}

/** Installs the packages of package-lock.json, unless that very file was installed already. */
export const install = () => {
  const lock = join(root, "package-lock.json")
  const stamp = join(root, "node_modules", ".installed-lock")
  const wanted = readFileSync(lock, "utf8")
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return
  say("Installing the packages of package-lock.json")
  run("npm", ["ci", "--no-audit", "--no-fund"])
  writeFileSync(stamp, wanted)
}

/** Builds dist/mister-smith. */
export const build = () => {
  say("Building dist/mister-smith")
  run(bin("bun"), ["scripts/build.ts"])
}

/** Starts the offline stand-in and answers with its address. It ends when this program does, because it reads our pipe. */
export const startStandin = (...args) =>
  new Promise((resolve, reject) => {
    const child = spawn(bin("bun"), ["scripts/standin/main.ts", ...args], {
      cwd: root,
      stdio: ["pipe", "pipe", "inherit"]
    })
    child.once("error", reject)
    child.once("exit", (code) => reject(new Error(`the stand-in ended with ${code}`)))
    child.stdout.once("data", (line) => resolve({ url: JSON.parse(String(line)).url, stop: () => child.kill() }))
  })
