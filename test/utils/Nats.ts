/**
 * Real nats-server processes for tests, on loopback with ports that are free, each with a directory of its own that goes
 * when the test ends, as they do. They can be killed, halted, started again on their port, and made a cluster of.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, type Scope } from "effect"
import { connect } from "nats"
import type { Place } from "./Netns.ts"

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Where scripts/setup.mjs puts it when it may not install it. */
const FETCHED = join(root, "node_modules", ".cache", "nats-server", "usr", "sbin", "nats-server")

const find = (): { readonly path: string } | { readonly missing: string } => {
  for (const path of ["nats-server", "/usr/sbin/nats-server", FETCHED]) {
    if (path.startsWith("/") && !existsSync(path)) continue
    if (spawnSync(path, ["--version"], { stdio: "ignore" }).status === 0) return { path }
  }
  return { missing: "nats-server is not installed: install Debian's package nats-server, or run npm test once" }
}

const found = find()

/** Why the tests with real servers cannot be; printed where they are skipped. */
export const noNats: string | undefined = "missing" in found ? found.missing : undefined
if (noNats !== undefined) console.warn(`skipped: ${noNats}`)

export const freePorts = (count: number): Promise<ReadonlyArray<number>> =>
  Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<{ port: number; close: () => Promise<void> }>((resolve, reject) => {
          const server = createServer()
          server.once("error", reject)
          server.listen(0, "127.0.0.1", () => {
            const address = server.address()
            if (typeof address !== "object" || address === null) return reject(new Error("no port"))
            resolve({ port: address.port, close: () => new Promise((closed) => server.close(() => closed())) })
          })
        })
    )
  ).then(async (all) => {
    await Promise.all(all.map(({ close }) => close()))
    return all.map(({ port }) => port)
  })

export interface NatsServer {
  readonly name: string
  readonly port: number
  readonly url: string
  /** For files that the config names. */
  readonly dir: string
  readonly pid: () => number | undefined
  /** Its config from now on, which it reads at once if it runs. */
  readonly reload: (config: string) => Effect.Effect<void>
  /** kill -9; completes when it is gone. */
  readonly kill: Effect.Effect<void>
  /** On the same port and with what it has stored. Completes when it takes connections. */
  readonly start: Effect.Effect<void>
  /** Neither reads nor answers once this completes, but its sockets stay. */
  readonly halt: Effect.Effect<void>
  readonly goOn: Effect.Effect<void>
  readonly log: () => string
}

export interface ServerOptions {
  /** Lines of its config, beside port and store. A function is told the directory for files. */
  readonly config?: string | ((dir: string) => string)
  readonly jetstream?: boolean
  readonly name?: string
  /** Default: a free one. */
  readonly port?: number
  /** In a network of its own (Netns.ts). Default: on loopback. */
  readonly place?: Pick<Place, "address" | "enter">
}

const LOOPBACK: Pick<Place, "address" | "enter"> = { address: "127.0.0.1", enter: [] }

/** How long a server may take to start, at most. */
const START_TIME = 20_000

const isZombie = (pid: number | undefined) => {
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

/** All of its threads: the signal is sent before the last of them has stopped. Where nobody tells, it is believed. */
const isHalted = (pid: number) => {
  const threads = `/proc/${pid}/task`
  if (!existsSync(threads)) return true
  return readdirSync(threads).every((thread) => {
    try {
      return /\) [TtXZ] /.test(readFileSync(`${threads}/${thread}/stat`, "utf8"))
    } catch {
      // It has ended.
      return true
    }
  })
}

const make = (
  dir: string,
  name: string,
  port: number,
  config: string,
  { address, enter } = LOOPBACK
): NatsServer & { stop: () => Promise<void> } => {
  let child: ChildProcess | undefined
  let gone: Promise<void> = Promise.resolve()
  const file = join(dir, "server.conf")
  const logFile = join(dir, "server.log")
  /** What it says where it cannot say it in its log: that it panics. */
  const errFile = join(dir, "server.err")
  const ending = new WeakSet<ChildProcess>()
  const textOf = (file: string) => (existsSync(file) ? readFileSync(file, "utf8") : "")
  const log = () => textOf(logFile)
  const write = (text: string) => writeFileSync(file, `${base}\n${text}\n`)
  const base = [
    `host: ${address}`,
    `port: ${port}`,
    `server_name: "${name}"`,
    `log_file: "${logFile}"`,
    `logtime: true`
  ].join("\n")
  write(config)

  const start = async () => {
    if (!("path" in found)) throw new Error(noNats)
    const began = log().length
    const [program = found.path, ...args] = [...enter, found.path, "-c", file]
    const said = openSync(errFile, "a")
    const started = spawn(program, args, { stdio: ["ignore", said, said] })
    closeSync(said)
    child = started
    gone = new Promise((resolve) =>
      started.once("exit", (code, by) => {
        resolve()
        // Whoever waits for it would never learn why it waits.
        if (!ending.has(started))
          console.error(`nats-server ${name} has ended by itself (${by ?? code}):\n${textOf(errFile) || log()}`)
      })
    )
    const until = Date.now() + START_TIME
    while (!log().slice(began).includes("Server is ready")) {
      if (started.exitCode !== null || Date.now() > until)
        throw new Error(`nats-server did not start:\n${log()}${textOf(errFile)}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  const signal = (name: NodeJS.Signals) => {
    if (child?.exitCode === null && child.signalCode === null) child.kill(name)
  }
  const stop = async () => {
    if (child !== undefined) ending.add(child)
    signal("SIGKILL")
    // Not every runtime tells of every end when several come at once.
    const ended = gone.then(() => true)
    while (!(await Promise.race([ended, new Promise<false>((resolve) => setTimeout(() => resolve(false), 100))])))
      if (isZombie(child?.pid)) return
  }
  return {
    name,
    port,
    url: `nats://${address}:${port}`,
    dir,
    pid: () => child?.pid,
    log,
    reload: (text) =>
      Effect.promise(async () => {
        write(text)
        const began = log().length
        signal("SIGHUP")
        while (!log().slice(began).includes("Reloaded server configuration")) {
          if (log().slice(began).includes("Failed to reload")) throw new Error(log().slice(began))
          await new Promise((resolve) => setTimeout(resolve, 10))
        }
      }),
    kill: Effect.promise(stop),
    start: Effect.promise(start),
    halt: Effect.promise(async () => {
      signal("SIGSTOP")
      while (child?.pid !== undefined && !isHalted(child.pid)) await new Promise((resolve) => setTimeout(resolve, 1))
    }),
    goOn: Effect.sync(() => signal("SIGCONT")),
    stop
  }
}

/** Whatever ends this process ends them. */
const running = new Set<{ readonly pid: () => number | undefined }>()
process.once("exit", () => {
  for (const { pid } of running) {
    const id = pid()
    if (id !== undefined) {
      try {
        process.kill(id, "SIGKILL")
      } catch {
        // It has ended before.
      }
    }
  }
})

const acquire = (options: ServerOptions, port: number, cluster = "") =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const dir = mkdtempSync(join(tmpdir(), "mister-smith-nats-"))
      const store = join(dir, "store")
      mkdirSync(store)
      const config = typeof options.config === "function" ? options.config(dir) : (options.config ?? "")
      const server = make(
        dir,
        options.name ?? `server-${port}`,
        port,
        [options.jetstream === true ? `jetstream { store_dir: "${store}" }` : "", cluster, config].join("\n"),
        options.place
      )
      running.add(server)
      await Effect.runPromise(server.start)
      return server
    }),
    (server) =>
      Effect.promise(async () => {
        await server.stop()
        running.delete(server)
        rmSync(server.dir, { recursive: true, force: true })
      })
  )

/** One server, which ends with the Scope. */
export const natsServer = (options: ServerOptions = {}): Effect.Effect<NatsServer, never, Scope.Scope> =>
  Effect.flatMap(
    options.port === undefined
      ? Effect.map(
          Effect.promise(() => freePorts(1)),
          ([port = 0]) => port
        )
      : Effect.succeed(options.port),
    (port) => acquire(options, port)
  )

/** Servers that know each other. With JetStream, streams can have replicas. */
export const natsCluster = (
  size = 3,
  options: Omit<ServerOptions, "name" | "port" | "place"> & { readonly places?: ReadonlyArray<Place> } = {}
): Effect.Effect<ReadonlyArray<NatsServer>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const ports = yield* Effect.promise(() => freePorts(size * 2))
    const { places = [], ...common } = options
    const addressOf = (index: number) => (places[index] ?? LOOPBACK).address
    const routes = ports.slice(size).map((port, index) => `nats-route://${addressOf(index)}:${port}`)
    const servers = yield* Effect.forEach(
      ports.slice(0, size),
      (port, index) =>
        acquire(
          { ...common, name: `member-${index + 1}`, place: places[index] ?? LOOPBACK },
          port,
          `cluster { name: test, listen: "${addressOf(index)}:${ports[size + index]}", routes: [${routes.join(", ")}] }`
        ),
      { concurrency: "unbounded" }
    )
    if (options.jetstream === true) for (const { url } of servers) yield* Effect.promise(() => ready(url, size))
    return servers
  })

/** A cluster that has just begun has no leader yet, and what it is asked then may never be answered. */
const ready = async (url: string, size: number) => {
  const client = await connect({ servers: url })
  const ask = async (what: string, body: object) => {
    const answer = await client.request(`$JS.API.STREAM.${what}.ready`, JSON.stringify(body), { timeout: 500 })
    return (answer.json() as { readonly error?: unknown }).error === undefined
  }
  const probe = { name: "ready", subjects: ["ready"], num_replicas: size, storage: "memory" }
  for (let tries = 0; tries < 100; tries++) {
    if (await ask("CREATE", probe).catch(() => false)) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await ask("DELETE", {}).catch(() => false)
  await client.close()
}
