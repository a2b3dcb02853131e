/**
 * What the README's two commands share: installing what the project needs on a machine that has only Node and npm.
 * Plain JavaScript for Node, because nothing else is there yet.
 */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
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

/** True where the program can be called. */
const has = (command, ...args) => spawnSync(command, args, { stdio: "ignore" }).status === 0

/** Where nats-server is put on a machine where it may not be installed; test/utils/Nats.ts looks here too. */
const fetched = join(root, "node_modules", ".cache", "nats-server")

/**
 * Debian's nats-server, for the tests with real servers: installed by root, else fetched and unpacked beside the packages. Where neither
 * can be, those tests are skipped, and say so.
 */
export const natsServer = () => {
  if (has("nats-server", "--version") || has("/usr/sbin/nats-server", "--version")) return
  if (has(join(fetched, "usr", "sbin", "nats-server"), "--version")) return
  const without = (why) =>
    console.error(
      `nats-server is not there, and ${why}: the tests with real servers are skipped.\n` +
        "To have them, install it with your system's package manager, for example: sudo apt-get install nats-server"
    )
  if (!has("apt-get", "--version")) return without("there is no apt-get")
  const apt = (args, options = {}) =>
    spawnSync(args[0], args.slice(1), {
      stdio: "inherit",
      ...options,
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
    }).status === 0
  const sudo = process.getuid?.() === 0 ? [] : has("sudo", "-n", "true") ? ["sudo", "-n"] : undefined
  if (sudo !== undefined) {
    say("Installing nats-server from Debian's packages")
    apt([...sudo, "apt-get", "update", "-qq"])
    if (apt([...sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", "nats-server"])) return
  }
  say("Fetching nats-server from Debian's packages")
  rmSync(fetched, { recursive: true, force: true })
  mkdirSync(fetched, { recursive: true })
  if (!apt(["apt-get", "download", "nats-server"], { cwd: fetched })) return without("it cannot be fetched")
  const [archive] = readdirSync(fetched).filter((name) => name.endsWith(".deb"))
  if (archive === undefined || !apt(["dpkg", "-x", join(fetched, archive), fetched])) without("it cannot be unpacked")
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
