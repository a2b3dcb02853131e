/**
 * A process and everything it starts, as one thing that is spawned, stopped and proven gone.
 *
 * Promises: argv is never a shell line; the tree leads its own session; when its Scope closes, by whatever road, nothing
 * that belongs to the run is alive, or `TreeSurvived` names what is. Membership is by marker, group and descent
 * (ProcessTable.ts), because a grandchild that has called setsid is in no group of ours. What a program should be told
 * before it is signalled is left to whoever knows the program.
 */
import { spawn as spawnChild } from "node:child_process"
import { statSync } from "node:fs"
import { Context, Deferred, Duration, Effect, Exit, Layer, Redacted, type Scope, Stream } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import {
  CommandNotExecutable,
  CommandNotFound,
  OutOfResources,
  type SpawnError,
  SpawnFailed,
  TreeSurvived,
  WorkingDirectoryMissing
} from "./ProcessError.ts"
import * as ProcessTable from "./ProcessTable.ts"

export interface ProcessSpec {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly cwd: string
  /** The whole environment; nothing is inherited. */
  readonly env: Readonly<Record<string, string | Redacted.Redacted>>
}

export interface ProcessExit {
  readonly code: number | null
  readonly signal: string | null
}

/** What a stop found and how each of it ended. */
export interface Receipt {
  readonly run: string
  readonly pid: number
  readonly exit: ProcessExit
  readonly ended: ReadonlyArray<{ readonly pid: number; readonly name: string; readonly by: Rung }>
  readonly tookMillis: number
}

/** How a process ended: of itself, by a signal to the leader's group, or found by the walk and killed. */
export type Rung = "exit" | "SIGINT" | "SIGTERM" | "SIGKILL" | "walk"

export interface ProcessHandle {
  readonly run: string
  readonly pid: number
  /** Bytes as they come. To be run once; ends when every holder of the pipe has closed it. */
  readonly stdout: Stream.Stream<Uint8Array>
  readonly stderr: Stream.Stream<Uint8Array>
  /** Completes when the system has taken the bytes. False where nobody reads any more. */
  write(text: string): Effect.Effect<boolean>
  /** The child reads the end of its stdin. */
  readonly closeInput: Effect.Effect<void>
  /** The leader's own exit, from the system and not from the end of a pipe. */
  readonly exit: Effect.Effect<ProcessExit>
  /** Ends the tree: each rung waits at most its time, and what is left is killed and proven gone. Later calls answer with the first receipt. */
  readonly stop: Effect.Effect<Receipt, TreeSurvived>
}

/** After end_session and its like have been tried: how long each signal may take. */
const rungs: ReadonlyArray<{ readonly signal: "SIGINT" | "SIGTERM"; readonly wait: Duration.Input }> = [
  { signal: "SIGINT", wait: "2 seconds" },
  { signal: "SIGTERM", wait: "1 second" }
]

/** A tree that outlives SIGKILL for this long is reported as a survivor. */
const REAP_LIMIT = Duration.seconds(5)

export class ProcessTree extends Context.Service<
  ProcessTree,
  {
    /** Starts a tree that lives at the longest as long as the Scope. */
    spawn(spec: ProcessSpec): Effect.Effect<ProcessHandle, SpawnError, Scope.Scope>
  }
>()("mister-smith/process/ProcessTree") {
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function* () {
      const random = yield* SecureRandom
      return ProcessTree.of({
        spawn: Effect.fn("ProcessTree.spawn")(function* (spec: ProcessSpec) {
          const run = yield* random.uuidV4()
          return yield* Effect.acquireRelease(start(spec, run), (handle) =>
            Effect.catchTag(handle.stop, "TreeSurvived", (error) => Effect.logError(error.message, error.hint))
          )
        })
      })
    })
  )
}

/** Trees alive now, by run. Only an emergency exit may use it. */
const live = new Map<string, ProcessTable.ProcessIdentity>()

/** SIGKILL for every tree, at once and without waiting: for the second signal of an impatient operator, and when the runtime dies of a defect. */
export const killAll = (): void => {
  for (const [run, leader] of live) {
    ProcessTable.signalGroup(leader.pid, "SIGKILL")
    for (const entry of ProcessTable.membersOf(run, leader)) ProcessTable.signal(entry, "SIGKILL")
  }
}

const start = (spec: ProcessSpec, run: string): Effect.Effect<ProcessHandle, SpawnError> =>
  Effect.callback((resume) => {
    const failed = (error: unknown) => resume(Effect.fail(spawnError(spec, error)))
    if (!isDirectory(spec.cwd)) return resume(Effect.fail(new WorkingDirectoryMissing({ cwd: spec.cwd })))
    const env: Record<string, string> = { [ProcessTable.MARKER]: run }
    for (const [name, value] of Object.entries(spec.env))
      env[name] = Redacted.isRedacted(value) ? Redacted.value(value) : value
    let child: ReturnType<typeof spawnChild>
    try {
      // `detached` makes the child lead a session of its own, so a signal to its group reaches no one else.
      child = spawnChild(spec.command, [...spec.args], { cwd: spec.cwd, env, detached: true, stdio: "pipe" })
    } catch (error) {
      return failed(error)
    }
    child.once("error", failed)
    const { pid, stderr, stdin, stdout } = child
    if (pid === undefined || stdin === null || stdout === null || stderr === null) return
    const exit = Deferred.makeUnsafe<ProcessExit>()
    const leader = { pid, startTime: ProcessTable.read(pid)?.startTime ?? "" }
    live.set(run, leader)
    child.once("exit", (code, signal) => Deferred.doneUnsafe(exit, Exit.succeed({ code, signal })))
    // A stream that nobody listens to is emptied at the exit, and what a child said last would be lost: listen at once.
    for (const stream of [stdout, stderr]) stream.on("readable", () => {})
    // A pipe whose reader is gone is an ordinary thing here; `write` answers false, and nobody else needs to hear of it.
    stdin.on("error", () => {})
    resume(
      Effect.map(
        Effect.cached(end(run, leader, exit)),
        (stop): ProcessHandle => ({
          run,
          pid,
          stdout: bytes(stdout),
          stderr: bytes(stderr),
          write: (text) =>
            Effect.callback<boolean>((written) => {
              if (!stdin.writable) return written(Effect.succeed(false))
              stdin.write(text, (error) => written(Effect.succeed(error === null || error === undefined)))
            }),
          closeInput: Effect.sync(() => void stdin.end()),
          exit: Deferred.await(exit),
          stop: Effect.ensuring(
            stop,
            Effect.sync(() => stdout.destroy() && stderr.destroy() && stdin.destroy())
          )
        })
      )
    )
  })

const now = Effect.clockWith((clock) => clock.currentTimeMillis)

const bytes = (readable: AsyncIterable<Uint8Array>): Stream.Stream<Uint8Array> =>
  // A pipe that breaks is a pipe that ended: what it means is judged by the exit.
  Stream.ignore(Stream.fromAsyncIterable(readable, (cause) => cause))

const isDirectory = (path: string) => {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

const spawnError = ({ command }: ProcessSpec, error: unknown): SpawnError => {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error)
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return new CommandNotFound({ command })
    case "EACCES":
    case "EPERM":
    case "ENOEXEC":
      return new CommandNotExecutable({ command, code })
    case "EAGAIN":
    case "ENOMEM":
    case "EMFILE":
    case "ENFILE":
      return new OutOfResources({ command, code })
    default:
      return new SpawnFailed({ command, code })
  }
}

/** The ladder of signals to the leader's group, then the walk that proves the tree gone. */
const end = Effect.fnUntraced(function* (
  run: string,
  leader: ProcessTable.ProcessIdentity,
  exit: Deferred.Deferred<ProcessExit>
) {
  const began = yield* now
  const before = ProcessTable.membersOf(run, leader)
  let by: Rung = "exit"
  for (const { signal, wait } of rungs) {
    if (Deferred.isDoneUnsafe(exit)) break
    by = signal
    ProcessTable.signalGroup(leader.pid, signal)
    yield* Effect.timeoutOption(Effect.interruptible(Deferred.await(exit)), wait)
  }
  if (!Deferred.isDoneUnsafe(exit)) {
    by = "SIGKILL"
    ProcessTable.signalGroup(leader.pid, "SIGKILL")
  } else if (!ProcessTable.available) {
    ProcessTable.signalGroup(leader.pid, "SIGKILL")
  }
  const walked = yield* reap(run, leader)
  const ended = new Map<number, Receipt["ended"][number]>()
  for (const { name, pid } of before) ended.set(pid, { pid, name, by })
  for (const [pid, name] of walked) ended.set(pid, { pid, name, by: pid === leader.pid ? by : "walk" })
  const receipt: Receipt = {
    run,
    pid: leader.pid,
    exit: yield* Deferred.await(exit),
    ended: [...ended.values()],
    tookMillis: (yield* now) - began
  }
  live.delete(run)
  return receipt
}, Effect.uninterruptible)

/** Kills members until two walks in a row find none: one that forks while it is read is found by the next walk. */
const reap = Effect.fnUntraced(function* (run: string, leader: ProcessTable.ProcessIdentity) {
  const killed = new Map<number, string>()
  const deadline = (yield* now) + Duration.toMillis(REAP_LIMIT)
  let empty = 0
  while (empty < 2) {
    const members = ProcessTable.membersOf(run, leader)
    if (members.length === 0) {
      empty++
      yield* Effect.yieldNow
      continue
    }
    empty = 0
    if ((yield* now) > deadline) {
      return yield* new TreeSurvived({ run, survivors: members.map(({ name, pid }) => ({ pid, name })) })
    }
    for (const entry of members) {
      if (ProcessTable.signal(entry, "SIGKILL")) killed.set(entry.pid, entry.name)
    }
    yield* Effect.sleep("5 millis")
  }
  return killed
})
