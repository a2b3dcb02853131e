/**
 * Networks of their own for tests that cut links: a bridge, and places on it, each with one link and an address.
 *
 * Promises: nothing of the machine's own network is touched, because all of it is inside a network namespace that the
 * calling process was started in (`ownNetwork`); and nothing is left behind, whoever is killed: no namespace has a name, each
 * lives by its processes, and the one that holds a place ends with this process's pipe to it.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { readlinkSync } from "node:fs"

export interface Place {
  readonly address: string
  /** Before a command, so that it runs there; its pid is the command's. */
  readonly enter: ReadonlyArray<string>
}

/** Either the carrier is lost, which both ends see; or all is lost on the way, which nobody sees. */
export type Cut = "down" | "unplugged"

export interface LinkedPlace extends Place {
  readonly cut: (how: Cut) => void
  readonly mend: () => void
}

export interface Network extends AsyncDisposable {
  /** Of the bridge: where this process is. */
  readonly address: string
  readonly place: () => Promise<LinkedPlace>
}

/** Says which network a process was to leave. */
const LEFT = "MISTER_SMITH_TEST_NETWORK"
/** Of the bridge; a place has the next one each. */
const NET = "10.77.0"
const MAX_PLACES = 200
/** How long the holder of a place may take to be in it, in milliseconds. */
const START_TIME = 10_000

const here = () => readlinkSync("/proc/self/ns/net")
/** Who is not root is root in there only. */
const asRoot = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"]

/** A command in a network of its own, and what it must have in its environment. */
export const ownNetwork = (command: ReadonlyArray<string>) => ({
  command: ["unshare", ...asRoot, "--net", ...command],
  env: { [LEFT]: here() }
})

const probe = (): string | undefined => {
  if (process.platform !== "linux") return "this is not Linux"
  const script =
    "ip link add b0 type bridge && ip link add v0 type veth peer name v1 && nsenter --net=/proc/self/ns/net true"
  const { error, status, stderr } = spawnSync("unshare", [...asRoot, "--net", "sh", "-c", script], { encoding: "utf8" })
  if (error !== undefined) return `unshare cannot be run (${error.message})`
  return status === 0 ? undefined : stderr.trim().split("\n")[0] || `unshare ended with ${status}`
}

/** Why links cannot be cut on this machine. */
export const noNetns: string | undefined = probe()

const ip = (...args: ReadonlyArray<string>) => run("ip", ...args)
const run = (command: string, ...args: ReadonlyArray<string>) => {
  const { error, status, stderr } = spawnSync(command, args, { encoding: "utf8" })
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr}`)
}

/** In a process that `ownNetwork` has started. */
export const network = (): Network => {
  const left = process.env[LEFT]
  if (left === undefined || left === here()) throw new Error("this process is in the machine's own network")
  ip("link", "set", "lo", "up")
  ip("link", "add", "bridge", "type", "bridge")
  ip("addr", "add", `${NET}.1/24`, "dev", "bridge")
  ip("link", "set", "bridge", "up")
  const holders: Array<ChildProcess> = []

  const place = async (): Promise<LinkedPlace> => {
    if (holders.length >= MAX_PLACES) throw new Error(`no more than ${MAX_PLACES} places`)
    const holder = spawn("unshare", ["--net", "cat"], { stdio: ["pipe", "ignore", "inherit"] })
    // Before anything is waited for: several are made at once.
    const number = holders.push(holder)
    const namespace = `/proc/${holder.pid}/ns/net`
    const until = Date.now() + START_TIME
    while (readlinkSync(namespace) === here()) {
      if (holder.exitCode !== null || Date.now() > until) throw new Error("no network for a place")
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const port = `port${number}`
    const address = `${NET}.${number + 1}`
    const enter = ["nsenter", `--net=${namespace}`]
    ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", String(holder.pid))
    for (const args of [
      ["link", "set", "lo", "up"],
      ["addr", "add", `${address}/24`, "dev", "eth0"],
      ["link", "set", "eth0", "up"]
    ])
      run("nsenter", `--net=${namespace}`, "ip", ...args)
    const mend = () => {
      ip("link", "set", port, "master", "bridge")
      ip("link", "set", port, "up")
    }
    mend()
    return {
      address,
      enter,
      mend,
      cut: (how) => (how === "down" ? ip("link", "set", port, "down") : ip("link", "set", port, "nomaster"))
    }
  }

  return {
    address: `${NET}.1`,
    place,
    [Symbol.asyncDispose]: async () => {
      for (const holder of holders) {
        const gone = new Promise<void>((resolve) => {
          if (holder.exitCode !== null || holder.signalCode !== null) resolve()
          else holder.once("exit", () => resolve())
        })
        holder.stdin?.end()
        await gone
      }
      ip("link", "del", "bridge")
    }
  }
}
