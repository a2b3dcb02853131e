/**
 * A process and everything it starts, as one thing that is spawned, measured, limited, paused, stopped and proven gone.
 *
 * Promises: argv is never a shell line; the tree leads its own session and, where the machine allows it, its own cgroup and
 * PID namespace; when its Scope closes, by whatever road, nothing that belongs to the run is alive, or `TreeSurvived`
 * names what is; when this process dies, the guardian ends it. Membership is by cgroup, marker, group, session and descent
 * (Membership.ts), because a grandchild that has called setsid is in no group of ours. What a program should be told
 * before it is signalled is left to whoever knows the program.
 */
import type { ChildProcess } from "node:child_process"
import { Clock, Context, Deferred, Effect, Exit, Layer, Result, type Scope, Semaphore, type Stream } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import { millisOf } from "../domain/Monotonic.ts"
import { inModule } from "../observability/Log.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import { end, type ProcessExit, type Receipt } from "./Ending.ts"
import { type LaunchSpec, launch, preflight, spawnError } from "./Launch.ts"
import { bytes } from "./Output.ts"
import * as Pausing from "./Pausing.ts"
import {
  LimitUnenforceable,
  type PauseFailed,
  type SpawnError,
  SpawnFailed,
  type TreeSurvived
} from "./ProcessError.ts"
import { ProcessHost } from "./ProcessHost.ts"
import * as Limits from "./ProcessLimits.ts"
import * as ProcessTable from "./ProcessTable.ts"
import * as Sampling from "./Sampling.ts"
import { type Tree, Trees } from "./Trees.ts"
import type { TreeUsage } from "./Usage.ts"

export type { ProcessExit, Receipt, Rung } from "./Ending.ts"

export interface ProcessSpec extends LaunchSpec {
  /** Hold from the first instruction on where a cgroup controller enforces them. Default none. */
  readonly limits?: Limits.ProcessLimits
}

export interface ProcessHandle {
  /** The value of its marker. */
  readonly run: string
  readonly pid: number
  /** Bytes as they come; nothing is read ahead of who reads them but what the pipe holds. Ends when every holder of the pipe has closed it. To be run once. */
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
  /** Brings all of it to a halt. Its pipes stay open, and nothing is lost. */
  readonly pause: Effect.Effect<void, PauseFailed>
  readonly resume: Effect.Effect<void, PauseFailed>
  isPaused(): boolean
  /** For how long it has been paused in all, up to now. Milliseconds: for time-outs that are to leave it out. */
  pausedMillis(): number
  /** As of the last look at all trees; undefined before the first, and where there is no /proc. */
  usage(): TreeUsage | undefined
  /** The last looks, oldest first. */
  usageHistory(): ReadonlyArray<TreeUsage>
  /** Changes its limits while it runs; answers with those that the kernel does not enforce. */
  limit(limits: Limits.ProcessLimits): Effect.Effect<ReadonlyArray<Limits.Unenforced>, LimitUnenforceable>
  /** Limits that the kernel does not enforce. */
  unenforced(): ReadonlyArray<Limits.Unenforced>
}

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
      const host = yield* ProcessHost
      const trees = yield* Effect.acquireRelease(
        Effect.sync(() => {
          const trees = new Trees(() => {
            const guardian = host.guardian?.pid()
            return guardian === undefined ? [] : [guardian]
          })
          known.add(trees)
          return trees
        }),
        (trees) => Effect.sync(() => known.delete(trees))
      )
      const sampler = yield* Sampling.start(trees, host.settings.measureEvery)
      return ProcessTree.of({
        spawn: Effect.fn("ProcessTree.spawn")(function* (spec: ProcessSpec) {
          const run = yield* random.uuidV4()
          return yield* Effect.acquireRelease(start({ host, trees, sampler }, spec, run), (handle) =>
            Effect.catchTag(handle.stop, "TreeSurvived", (error) =>
              inModule("process")(Effect.logError(error.message, error.hint))
            )
          )
        })
      })
    })
  )

  /** For one program that ends its trees itself: without a data directory there is no guardian, no cgroup and no sweep. */
  static readonly layerBare = this.layer.pipe(Layer.provide(ProcessHost.layerBare))
}

const known = new Set<Trees>()

/** SIGKILL for every tree, at once and without waiting: for the second signal of an impatient operator, and when the runtime dies of a defect. */
export const killAll = (): void => {
  for (const trees of known) trees.killAll()
}

interface Base {
  readonly host: ProcessHost["Service"]
  readonly trees: Trees
  readonly sampler: Sampling.Sampling
}

const start = Effect.fnUntraced(function* (base: Base, spec: ProcessSpec, run: string) {
  const { host, sampler, trees } = base
  const clock = yield* Clock.Clock
  const marker = `${host.prefix}${run}`
  const leaf = host.subtree?.leaf(run)
  const cgroup = leaf !== undefined && Result.isSuccess(leaf) ? leaf.success : undefined
  const noCgroup = leaf !== undefined && Result.isFailure(leaf) ? leaf.failure.message : host.noCgroup
  const limiting = (limits: Limits.ProcessLimits | undefined) => {
    const unenforced = limits === undefined ? [] : Limits.apply(limits, cgroup, host.subtree, noCgroup)
    return unenforced.length > 0 && limits?.enforce === "required"
      ? Result.fail(new LimitUnenforceable({ limits: unenforced.map(({ limit, why }) => ({ limit, why })) }))
      : Result.succeed(unenforced)
  }
  const place = { marker, cgroup, namespace: host.namespace }
  const unenforced = limiting(spec.limits)
  const required = leaf !== undefined && Result.isFailure(leaf) && host.settings.cgroup === "required"
  const wrong = required
    ? new SpawnFailed({ command: spec.command, code: `${leaf.failure.code}: ${noCgroup}` })
    : Result.isFailure(unenforced)
      ? unenforced.failure
      : preflight(spec, place)
  if (wrong !== undefined || Result.isFailure(unenforced)) {
    cgroup?.remove()
    return yield* Effect.fail(wrong as SpawnError)
  }
  crashPoint("spawn.before")
  const child = yield* Effect.onError(begin(spec, place), () => Effect.sync(() => cgroup?.remove()))
  crashPoint("spawn.after")
  const leader = { pid: child.pid, startTime: ProcessTable.read(child.pid)?.startTime ?? "" }
  const tree: Tree = {
    marker,
    leader,
    cgroup,
    limits: spec.limits,
    unenforced: unenforced.success,
    justEnded: false,
    holdsGroup: false,
    exceeded: undefined,
    now: () => millisOf(clock),
    pausedSince: undefined,
    pausedBefore: 0
  }
  const record = { ...leader, marker }
  trees.live.set(marker, tree)
  host.guardian?.run(leader)
  host.records?.add(record)
  crashPoint("spawn.recorded")

  const { stderr, stdin, stdout } = child
  const exit = Deferred.makeUnsafe<ProcessExit>()
  child.whenExit((code, signal) => {
    trees.ended(tree)
    const exceeded = tree.exceeded ?? Sampling.killedByKernel(tree)
    Deferred.doneUnsafe(exit, Exit.succeed({ code, signal, ...(exceeded === undefined ? {} : { exceeded }) }))
  })
  let receipt: Receipt | undefined
  const one = yield* Semaphore.make(1)
  // One at a time. What has survived once is gone for at the next call.
  const stop = one.withPermit(
    Effect.suspend(() => {
      if (receipt !== undefined) return Effect.succeed(receipt)
      return Effect.tap(end(tree, trees, exit, host.settings.stop), (proven) =>
        Effect.sync(() => {
          crashPoint("spawn.gone")
          receipt = proven
          trees.live.delete(marker)
          sampler.forget(marker)
          host.guardian?.gone(leader)
          host.records?.remove(record)
          cgroup?.remove()
          crashPoint("spawn.forgotten")
        })
      )
    })
  )
  const handle: ProcessHandle = {
    run: marker,
    pid: leader.pid,
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
    ),
    pause: Pausing.pause(tree, trees),
    resume: Pausing.resume(tree, trees),
    isPaused: () => tree.pausedSince !== undefined,
    pausedMillis: () => Pausing.pausedMillis(tree),
    usage: () => sampler.of(marker),
    usageHistory: () => sampler.history(marker),
    limit: (limits) =>
      Effect.suspend(() => {
        const changed = limiting(limits)
        if (Result.isFailure(changed)) return Effect.fail(changed.failure)
        tree.limits = limits
        tree.unenforced = changed.success
        return Effect.succeed(changed.success)
      }),
    unenforced: () => tree.unenforced
  }
  return handle
}, Effect.uninterruptible)

interface Started {
  readonly pid: number
  readonly stdin: NonNullable<ChildProcess["stdin"]>
  readonly stdout: NonNullable<ChildProcess["stdout"]>
  readonly stderr: NonNullable<ChildProcess["stderr"]>
  readonly whenExit: (then: (code: number | null, signal: string | null) => void) => void
}

/** Fails with what the system says, which it may say later: then the process has no pid. */
const begin = (spec: ProcessSpec, place: Parameters<typeof launch>[1]): Effect.Effect<Started, SpawnError> =>
  Effect.callback((resume) => {
    const failed = (error: unknown) => resume(Effect.fail(spawnError(spec, error)))
    let child: ChildProcess
    try {
      child = launch(spec, place)
    } catch (error) {
      return failed(error)
    }
    child.once("error", failed)
    const { pid, stderr, stdin, stdout } = child
    if (pid === undefined || stdin === null || stdout === null || stderr === null) return
    // A stream that nobody listens to is emptied at the exit, and what a child said last would be lost: listen at once.
    for (const stream of [stdout, stderr]) stream.on("readable", () => {})
    // A pipe whose reader is gone is an ordinary thing here; `write` answers false, and nobody else needs to hear of it.
    stdin.on("error", () => {})
    let ended: readonly [number | null, string | null] | undefined
    let told: Parameters<Started["whenExit"]>[0] | undefined
    child.once("exit", (code, signal) => {
      ended = [code, signal]
      told?.(code, signal)
    })
    const whenExit: Started["whenExit"] = (then) => {
      told = then
      if (ended !== undefined) then(...ended)
    }
    resume(Effect.succeed({ pid, stdin, stdout, stderr, whenExit }))
  })
