/** A node as a crash test sees it: a child process, its events, its socket, and what of it is alive. */
import { type ChildProcess, spawn } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { request as httpRequest } from "node:http"
import { join } from "node:path"

export interface Life {
  readonly child: ChildProcess
  readonly startedAt: number
  /** Events as they come. */
  onEvent(hear: (event: Record<string, unknown>) => void): void
  readonly stderr: () => string
  /** How it ended: a code or the name of a signal. */
  readonly exit: Promise<number | string>
}

/** Of what it prints on stderr, in characters. */
const KEPT = 20_000

export const start = (binary: string, config: string, env: Readonly<Record<string, string>> = {}): Life => {
  const child = spawn(binary, ["run", config, "--json"], {
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: "/", LANG: "C.UTF-8", ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const startedAt = performance.now()
  const hearers: Array<(event: Record<string, unknown>) => void> = []
  let partial = ""
  let stderr = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (partial + text).split("\n")
    partial = lines.pop() ?? ""
    for (const line of lines) for (const hear of hearers) hear(JSON.parse(line))
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-KEPT)
  })
  return {
    child,
    startedAt,
    onEvent: (hear) => void hearers.push(hear),
    stderr: () => stderr,
    exit: new Promise((resolve, reject) => {
      child.once("error", reject)
      child.once("close", (code, signal) => resolve(signal ?? code ?? -1))
    })
  }
}

export interface Answer {
  readonly status: number
  readonly body: unknown
}

/** Undefined where nobody answered, or not to the end. */
export const ask = (dataDir: string, method: string, path: string, body?: unknown): Promise<Answer | undefined> =>
  new Promise((resolve) => {
    const nothing = () => resolve(undefined)
    const request = httpRequest(
      {
        socketPath: join(dataDir, "admin.sock"),
        method,
        path,
        headers: { host: "localhost", connection: "close", "content-type": "application/json" }
      },
      (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part
        })
        response.on("error", nothing)
        response.on("close", nothing)
        response.on("end", () => {
          try {
            resolve({ status: response.statusCode ?? 0, body: text === "" ? undefined : JSON.parse(text) })
          } catch {
            nothing()
          }
        })
      }
    )
    request.on("error", nothing)
    request.on("close", nothing)
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })

/** The id of a data directory, which is in all that its nodes start; undefined where it has none yet. */
export const ownerOf = (dataDir: string): string | undefined => {
  try {
    return readFileSync(join(dataDir, "id"), "utf8").trim().split(/\s+/)[0]
  } catch {
    return undefined
  }
}

export interface Left {
  readonly pid: number
  /** Of which life of the runtime. */
  readonly life: string
  readonly command: string
}

/** What is alive of all that nodes on this data directory have ever started, by its marker. */
export const alive = (owner: string): ReadonlyArray<Left> =>
  readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      if (/^State:\s+[ZX]/m.test(readFileSync(`/proc/${name}/status`, "utf8"))) return []
      const marker = new RegExp(`(?:^|\\0)MISTER_SMITH_RUN=${owner}\\.(\\w+)\\.`)
      const life = marker.exec(readFileSync(`/proc/${name}/environ`, "latin1"))?.[1]
      if (life === undefined) return []
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim()
      return [{ pid: Number(name), life, command }]
    } catch {
      return []
    }
  })

/** The cgroups of this data directory that are there, where the machine lets us have any. */
export const cgroups = (owner: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  const look = (directory: string, depth: number) => {
    let names: ReadonlyArray<string>
    try {
      names = readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() ? entry.name : []
      )
    } catch {
      return
    }
    for (const name of names) {
      if (name.startsWith(`mister-smith-${owner}-`)) found.push(join(directory, name))
      else if (depth > 0) look(join(directory, name), depth - 1)
    }
  }
  look("/sys/fs/cgroup", 6)
  return found
}

/** What only a running node has in its data directory: sockets, and records of runs. */
export const litter = (dataDir: string): ReadonlyArray<string> => {
  return readdirSync(dataDir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dataDir, entry.name)
    if (entry.isSocket()) return [path]
    if (!entry.isDirectory()) return []
    const inside = readdirSync(path, { withFileTypes: true })
    return inside.flatMap((each) => (each.isSocket() || entry.name === "runs" ? [join(path, each.name)] : []))
  })
}

/** What is left of it though it has ended, in words: there should be nothing. */
export const leftOf = (dataDir: string): ReadonlyArray<string> => {
  const owner = ownerOf(dataDir) ?? ""
  const found = {
    "alive at the end": alive(owner).map((left) => JSON.stringify(left)),
    "cgroups at the end": cgroups(owner),
    "in the data directory at the end": litter(dataDir)
  }
  return Object.entries(found).flatMap(([what, names]) => (names.length > 0 ? [`${what}: ${names}`] : []))
}

/** Who outlives a node that is killed, to end what it had started. */
export const guardianOf = (pid: number): number | undefined => {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue
    try {
      const status = readFileSync(`/proc/${name}/status`, "utf8")
      if (Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]) !== pid) continue
      if (readFileSync(`/proc/${name}/cmdline`, "utf8").startsWith("tree-guardian")) return Number(name)
    } catch {}
  }
  return undefined
}
