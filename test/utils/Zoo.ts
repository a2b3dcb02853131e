/**
 * Hostile programs (test/fixtures/zoo), and a proof that nothing of them is alive which trusts no code under test.
 *
 * Every process of an animal holds the witness, a FIFO. The system itself knows whether a FIFO has a reader: opening it
 * for writing fails where there is none, at one instant and wherever the holder may be. So `alive` is never wrong;
 * `holders` names them from a walk through /proc, and may miss one that forks and exits meanwhile.
 */
import { spawnSync } from "node:child_process"
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { Data, Deferred, Effect, Stream } from "effect"
import type { ProcessHandle, ProcessTree } from "../../src/process/ProcessTree.ts"

const directory = join(dirname(dirname(fileURLToPath(import.meta.url))), "fixtures", "zoo")

/**
 * A way to find or kill what belongs to a run. `group`, `marker` and `descent` are read process by process;
 * `group_kill` is one SIGKILL to the leader's group, also where the leader has ended. The last two reach everything.
 */
export type Reach = "group" | "marker" | "descent" | "group_kill" | "cgroup" | "pid_namespace"
const reachesAll: ReadonlyArray<Reach> = ["cgroup", "pid_namespace"]

export interface Animal {
  readonly name: string
  /** Below test/fixtures/zoo. */
  readonly file: string
  readonly args: ReadonlyArray<string>
  /** Each of these suffices for every process of it, whatever has happened to the leader. */
  readonly reachedBy: ReadonlyArray<Reach>
  readonly why: string
  /** Its pids change so fast that a list of them is out of date at once. */
  readonly moves?: boolean
  /** Animals that live in one tree. */
  readonly parts?: ReadonlyArray<Animal>
}

const animal = (
  name: string,
  reachedBy: Animal["reachedBy"],
  why: string,
  more: Partial<Pick<Animal, "file" | "args" | "moves" | "parts">> = {}
): Animal => ({ name, file: `${name}.pl`, args: [], reachedBy, why, ...more })

/** Descent is in none of these: it is lost when the leader, who is signalled first, is gone. */
export const zoo: ReadonlyArray<Animal> = [
  animal("double-fork", ["marker"], "it has left the group and its parent, and kept its environment"),
  animal("setsid", ["marker"], "the child has left the group and kept its environment"),
  animal("ignores-signals", ["group", "marker"], "nobody can ignore SIGKILL"),
  animal("closes-pipes", ["group", "marker"], "it hides nothing but its output"),
  animal("renames", ["group"], "name and environment are gone; the group is not"),
  animal("wiped-daemon", [], "neither group, environment nor parent is the run's any more"),
  animal("fork-storm", ["group_kill"], "a list of its pids is out of date at once; one signal to the group is not", {
    moves: true
  }),
  animal("fork-storm-away", [], "every pid has another session, and is gone before it is read", {
    file: "fork-storm.pl",
    args: ["away"],
    moves: true
  }),
  animal("leader-exits", ["marker"], "one child has left the group; both have kept their environment"),
  animal("one-line", ["group", "marker"], "it hides nothing"),
  animal("never-reads", ["group", "marker"], "it hides nothing"),
  animal("eats-memory", ["group", "marker"], "it hides nothing"),
  animal("stopped", ["group", "marker"], "SIGKILL ends a stopped process too"),
  animal("zombie-parent", ["group", "marker"], "zombies hold nothing and are gone with their parent"),
  animal("mcp-like", ["marker"], "two helpers lead groups of their own; all have kept their environment")
]

/** What a mixture may do, one for each bit of its seed, lowest first. */
export const habits = ["session", "orphan", "deaf", "pipes", "wiped", "stopped", "zombies", "leaves"] as const

export const mixture = (seed: number): Animal => {
  const has = habits.filter((_, bit) => (seed & (1 << bit)) !== 0)
  const left = has.includes("session")
  const wiped = has.includes("wiped")
  return animal(
    `mixture ${seed} (${has.join(", ")})`,
    [...(left ? [] : (["group"] as const)), ...(wiped ? [] : (["marker"] as const))],
    left && wiped ? "it has left the group and wiped its environment" : "it has kept its group or its environment",
    { file: "mixture.pl", args: [String(seed)] }
  )
}

/** Several animals under one leader. */
export const together = (parts: ReadonlyArray<Animal>): Animal =>
  animal(parts.map(({ name }) => name).join(" + "), [], "all of its parts must be", {
    file: "together.pl",
    args: parts.map(({ args, file }) => [file, ...args].join(":")),
    moves: parts.some(({ moves }) => moves === true),
    parts
  })

/** Can a supervisor with these ways reach every process of it? */
export const reachable = (animal: Animal, rungs: ReadonlyArray<Reach>): boolean =>
  rungs.some((rung) => reachesAll.includes(rung)) ||
  (animal.parts?.every((part) => reachable(part, rungs)) ?? animal.reachedBy.some((rung) => rungs.includes(rung)))

/** Why the animals of this machine cannot be let out, or nothing. */
export const missing = (): string | undefined => {
  if (process.platform !== "linux") return "there is no /proc to name the holders"
  for (const command of ["perl", "mkfifo", "env"]) {
    if (spawnSync(command, ["--version"]).status !== 0) return `there is no ${command}`
  }
  return undefined
}

/** A witness for one animal. When the Scope closes whoever still holds it is killed. */
export const witness = Effect.acquireRelease(
  Effect.sync(() => {
    const path = join(mkdtempSync(join(tmpdir(), "mister-smith-zoo-")), "witness")
    const made = spawnSync("mkfifo", [path])
    if (made.status !== 0) throw new Error(`mkfifo: ${String(made.stderr)}`)
    return path
  }),
  (path) =>
    Effect.andThen(
      cleanUp(path),
      Effect.sync(() => rmSync(dirname(path), { recursive: true }))
    )
)

/** Is anyone alive who holds it? */
export const alive = (witness: string): boolean => {
  try {
    closeSync(openSync(witness, constants.O_WRONLY | constants.O_NONBLOCK))
    return true
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENXIO") return false
    throw error
  }
}

export interface Holder {
  readonly pid: number
  readonly comm: string
}

/** Who holds it, as far as a walk can tell. */
export const holders = (witness: string): ReadonlyArray<Holder> =>
  readdirSync("/proc")
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((name) => {
      try {
        const fds = `/proc/${name}/fd`
        if (!readdirSync(fds).some((fd) => linkOf(`${fds}/${fd}`) === witness)) return []
        return [{ pid: Number(name), comm: readFileSync(`/proc/${name}/comm`, "utf8").trim() }]
      } catch {
        return [] // gone meanwhile, or another user's
      }
    })

const linkOf = (path: string) => {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

/** Ends every holder, also those that no list can catch: they look for this file. */
export const cleanUp = Effect.fnUntraced(function* (witness: string) {
  writeFileSync(`${witness}.end`, "")
  while (alive(witness)) {
    for (const { pid } of holders(witness)) kill(pid)
    yield* Effect.sleep("5 millis")
  }
})

/** False where it was gone. */
export const kill = (pid: number): boolean => {
  try {
    return process.kill(pid, "SIGKILL")
  } catch {
    return false
  }
}

/** It ended before its mischief was in place, and so nothing is proven. */
export class AnimalDied extends Data.TaggedError("AnimalDied")<{ readonly name: string; readonly said: string }> {}

/**
 * Lets one out, and waits until its mischief is in place. Its output is then read no further as long as its leader
 * lives, so that who writes without end is held up, as by a slow reader.
 */
export const spawnAnimal = Effect.fnUntraced(function* (
  tree: typeof ProcessTree.Service,
  { args, file, name }: Animal,
  witness: string
) {
  const handle: ProcessHandle = yield* tree.spawn({
    command: "perl",
    args: [join(directory, file), witness, ...args],
    cwd: dirname(witness),
    env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" }
  })
  const ready = yield* Deferred.make<void, AnimalDied>()
  let said = ""
  let complained = ""
  // Not a child of the caller: the pipe must stay open until the tree has ended, and ends with it.
  yield* Effect.forkDetach(
    handle.stdout.pipe(
      Stream.decodeText(),
      Stream.runForEach((text) => {
        if (said.length < 6) said += text
        if (!said.startsWith("ready\n")) return Effect.void
        return Effect.andThen(Deferred.succeed(ready, undefined), handle.exit)
      }),
      Effect.andThen(Effect.suspend(() => Deferred.fail(ready, new AnimalDied({ name, said: said + complained }))))
    )
  )
  yield* Effect.forkDetach(
    handle.stderr.pipe(
      Stream.decodeText(),
      Stream.runForEach((text) => Effect.sync(() => (complained += text)))
    )
  )
  // More than a pipe takes: for who never reads, this write is under way when the tree is stopped.
  yield* Effect.forkDetach(handle.write("x".repeat(256 * 1024)))
  yield* Deferred.await(ready)
  return handle
})

/** A small generator of numbers that can be repeated (mulberry32). */
export const generator = (seed: number) => {
  let state = seed >>> 0
  return (below: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}
