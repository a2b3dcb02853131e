/**
 * A config becomes one Layer: the only file that knows every room. Read the list at the end aloud, from the bottom up,
 * to know how the house is wired.
 */
import { Context, Effect, type FileSystem, Layer, type Path, type Scope, type Stream } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { AgentHost } from "./agent/AgentHost.ts"
import { AgentPool, type AgentSnapshot } from "./agent/AgentPool.ts"
import type { Config } from "./config/Config.ts"
import type { TaskResult } from "./domain/Task.ts"
import { VERSION } from "./domain/Version.ts"
import type { Published } from "./event/Event.ts"
import { EventBus } from "./event/EventBus.ts"
import { ProcessTree } from "./process/ProcessTree.ts"
import type { ChildRefused, SupervisorGaveUp, SupervisorRefused } from "./supervision/SupervisionError.ts"
import * as Supervisor from "./supervision/Supervisor.ts"
import * as Dispatcher from "./task/Dispatcher.ts"
import type { LedgerFull, TaskConflict, TaskUnknown } from "./task/TaskError.ts"
import { TaskLedger, type TaskRecord } from "./task/TaskLedger.ts"
import type { TaskSpec } from "./task/TaskSpec.ts"

/** Why a node could not be built. A config that passed `check` gives no reason. */
export type StartError = SupervisorGaveUp | SupervisorRefused | ChildRefused

export class MisterSmith extends Context.Service<
  MisterSmith,
  {
    /** Accepts a task. The same id with the same content is answered with the task that is there. */
    submit(task: TaskSpec): Effect.Effect<TaskRecord, TaskConflict | LedgerFull>
    /** Waits for the end of a task, however it ends; fails only where the task is not known, or the tree has given up before. */
    result(task: string): Effect.Effect<TaskResult, TaskUnknown | SupervisorGaveUp>
    /** Submits a task and waits for its end. */
    perform(task: TaskSpec): Effect.Effect<TaskResult, TaskConflict | LedgerFull | TaskUnknown | SupervisorGaveUp>
    readonly tasks: Effect.Effect<ReadonlyArray<TaskRecord>>
    readonly agents: Effect.Effect<ReadonlyArray<AgentSnapshot>>
    /** What happens from now on, in order. Live once the Effect completes; ends with the Scope. */
    readonly events: Effect.Effect<Stream.Stream<Published>, never, Scope.Scope>
    /** Fails when the tree has given up; never succeeds before the Layer's Scope closes. */
    readonly ended: Effect.Effect<void, SupervisorGaveUp>
  }
>()("mister-smith/MisterSmith") {
  /** The whole node: agents start when the Layer is built, and everything they started is gone when its Scope has closed. */
  static readonly layer = (config: Config) => MisterSmith.layerWithEvents(config).pipe(Layer.provide(EventBus.layer))

  /** The same, reporting to an EventBus of the caller's, which can so hear of the very last things. */
  static readonly layerWithEvents = (
    config: Config
  ): Layer.Layer<MisterSmith, StartError, EventBus | FileSystem.FileSystem | Path.Path> =>
    Layer.effect(MisterSmith, make(config)).pipe(
      Layer.merge(Dispatcher.layer(config.retry)),
      Layer.provideMerge(AgentPool.layer(config.agents)),
      Layer.provideMerge(AgentHost.layer({ ...config.claude, dataDir: config.dataDir, baseDir: config.baseDir })),
      Layer.provideMerge(TaskLedger.layerMemory),
      Layer.provideMerge(ProcessTree.layer),
      Layer.provideMerge(SecureRandom.layerWebCrypto)
    )
}

const make = Effect.fnUntraced(function* (config: Config) {
  const bus = yield* EventBus
  const ledger = yield* TaskLedger
  const pool = yield* AgentPool
  yield* bus.publish({ type: "runtime.started", name: config.name, version: VERSION, agents: pool.agents.length })
  const supervisor = yield* Supervisor.start({
    id: "agents",
    ...config.supervision,
    children: pool.agents.map(({ child }) => child),
    report: () => Effect.void
  })
  const result = (task: string) => Effect.raceFirst(ledger.result(task), Effect.andThen(supervisor.ended, Effect.never))
  const submit = Effect.fn("MisterSmith.submit")((task: TaskSpec) => ledger.submit(task))
  return MisterSmith.of({
    submit,
    result,
    perform: Effect.fn("MisterSmith.perform")(function* (task) {
      return yield* result((yield* submit(task)).id)
    }),
    tasks: ledger.list,
    agents: pool.snapshot,
    events: bus.subscribe,
    ended: supervisor.ended
  })
})
