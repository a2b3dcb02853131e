/**
 * A config becomes one Layer: the only file that knows every room. Read the list at the end aloud, from the bottom up,
 * to know how the house is wired.
 */
import { hostname } from "node:os"
import { join } from "node:path"
import {
  Clock,
  Context,
  Deferred,
  Effect,
  Fiber,
  type FileSystem,
  Layer,
  Option,
  type Path,
  Schema,
  type Scope,
  type Stream
} from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import { Accounts } from "./agent/Account.ts"
import type { Heard } from "./agent/Agent.ts"
import type { AgentUnknown, StoppedUnreadable } from "./agent/AgentError.ts"
import { AgentHost, renewed } from "./agent/AgentHost.ts"
import { AgentPool, type AgentSnapshot } from "./agent/AgentPool.ts"
import * as AgentReload from "./agent/AgentReload.ts"
import {
  AgentTree,
  type InterruptError,
  type LimitError,
  type ModelError,
  type PauseError,
  type StartAgentError,
  type StopError,
  type TellError
} from "./agent/AgentTree.ts"
import { type Move, Moves } from "./agent/Moves.ts"
import { type ReloadRolledBack, ReloadUnderWay } from "./agent/ReloadError.ts"
import { Sessions } from "./agent/Sessions.ts"
import { Workspaces } from "./agent/Workspace.ts"
import type { WorkspaceBlocked } from "./agent/WorkspaceError.ts"
import type { Config } from "./config/Config.ts"
import * as Plan from "./config/Plan.ts"
import type { Fault } from "./domain/Fault.ts"
import { isFinal, type TaskResult } from "./domain/Task.ts"
import { VERSION } from "./domain/Version.ts"
import { brief, type Event, type Published } from "./event/Event.ts"
import { EventBus } from "./event/EventBus.ts"
import { Edge, type Standing } from "./fleet/Edge.ts"
import { Fleet, FleetVoice, type Self } from "./fleet/Fleet.ts"
import { FleetHome } from "./fleet/FleetHome.ts"
import * as FleetLedger from "./fleet/FleetLedger.ts"
import { nodeIdOf, sharesLedger } from "./fleet/FleetSettings.ts"
import * as FleetState from "./fleet/FleetState.ts"
import * as Placing from "./fleet/Placing.ts"
import { Steered } from "./fleet/Steered.ts"
import type { KeyInvalid } from "./message/MessageError.ts"
import * as Logging from "./observability/Logging.ts"
import { type HostError, ProcessHost } from "./process/ProcessHost.ts"
import type { ProcessLimits, Unenforced } from "./process/ProcessLimits.ts"
import { longestStop } from "./process/ProcessSettings.ts"
import { ProcessTree } from "./process/ProcessTree.ts"
import type { TreeUsage } from "./process/Usage.ts"
import * as SqliteStateStore from "./state/SqliteStateStore.ts"
import type { StateUnusable } from "./state/StateStoreError.ts"
import type { SupervisorInfo } from "./supervision/Snapshot.ts"
import type { ChildRefused, SupervisorGaveUp, SupervisorRefused } from "./supervision/SupervisionError.ts"
import { edgesOf } from "./task/After.ts"
import * as Dispatcher from "./task/Dispatcher.ts"
import { explain as explainTask } from "./task/Explain.ts"
import * as Here from "./task/Here.ts"
import { Inputs } from "./task/Inputs.ts"
import { KEPT } from "./task/LedgerStore.ts"
import * as Routing from "./task/Routing.ts"
import type { PluginError } from "./task/RoutingError.ts"
import {
  type FileUnusable,
  type LedgerFull,
  type LedgerUnusable,
  type TaskConflict,
  type TaskEnded,
  TaskInvalid,
  type TaskNotDead,
  type TaskUnknown
} from "./task/TaskError.ts"
import { type SubmitOptions, TaskLedger } from "./task/TaskLedger.ts"
import type { AttemptRecord, TaskFilter, TaskRecord } from "./task/TaskRecord.ts"
import { type TaskInput, TaskSpec } from "./task/TaskSpec.ts"
import * as WorkspaceKeeper from "./task/WorkspaceKeeper.ts"
import * as Farewell from "./transport/Farewell.ts"

/** Why a node could not be built. A config that passed `check` gives no reason. */
export type StartError =
  | SupervisorGaveUp
  | SupervisorRefused
  | ChildRefused
  | StoppedUnreadable
  | HostError
  | LedgerUnusable
  | StateUnusable
  | PluginError
  | WorkspaceBlocked
  | KeyInvalid

export type SubmitError = TaskInvalid | FileUnusable | TaskConflict | LedgerFull | LedgerUnusable

export interface ReloadOptions {
  /** Agents that change are stopped in the middle of what they do, and go on afterwards. Default false: they finish first. */
  readonly now?: boolean
  /** Given the ids of the new tasks when all agents are up, before any goes. Where it fails, all is undone. */
  readonly submit?: (tasks: ReadonlyArray<string>) => Effect.Effect<unknown, Fault>
}

export class MisterSmith extends Context.Service<
  MisterSmith,
  {
    /** Accepts a task. The same id with the same content is answered with the task that is there. */
    submit(task: TaskInput, options?: SubmitOptions): Effect.Effect<TaskRecord, SubmitError>
    /** Accepts all of them, or none. */
    submitAll(
      tasks: ReadonlyArray<TaskInput>,
      options?: SubmitOptions
    ): Effect.Effect<ReadonlyArray<TaskRecord>, SubmitError>
    /** Waits for the end of a task, however it ends; fails only where the task is not known, or the tree has given up before. */
    result(task: string): Effect.Effect<TaskResult, TaskUnknown | LedgerUnusable | SupervisorGaveUp>
    /** Submits a task and waits for its end. */
    perform(task: TaskInput): Effect.Effect<TaskResult, SubmitError | TaskUnknown | SupervisorGaveUp>
    /** Ends a task that has not ended, and the work on it. */
    cancel(task: string, why?: string): Effect.Effect<TaskRecord, TaskUnknown | TaskEnded | LedgerUnusable>
    /** Gives a dead letter a new life: it goes back to the queue. */
    replay(task: string): Effect.Effect<TaskRecord, TaskUnknown | TaskNotDead | SubmitError>
    /** A dead letter need not be kept: it counts as cancelled, and is forgotten in its turn. */
    drop(task: string): Effect.Effect<TaskRecord, TaskUnknown | TaskNotDead | LedgerUnusable>
    task(id: string): Effect.Effect<TaskRecord, TaskUnknown | LedgerUnusable>
    /** The attempts at a task, first to last. */
    attempts(task: string): Effect.Effect<ReadonlyArray<AttemptRecord>, TaskUnknown | LedgerUnusable>
    /** Other nodes take from the same ledger. */
    readonly sharesTasks: boolean
    /** The latest 1,000, the latest first. */
    readonly tasks: Effect.Effect<ReadonlyArray<TaskRecord>, LedgerUnusable>
    /** Those that fit, the latest first. */
    tasksWhere(filter: TaskFilter): Effect.Effect<ReadonlyArray<TaskRecord>, LedgerUnusable>
    readonly agents: Effect.Effect<ReadonlyArray<AgentSnapshot>>
    /** Stops an agent on purpose: it stays down, in the next run too, and tasks that only it takes wait. */
    stopAgent(agent: string): Effect.Effect<void, StopError>
    /** Starts an agent that is down, whatever it went down for. */
    startAgent(agent: string): Effect.Effect<void, StartAgentError>
    /** Stops and starts it in one: what it was doing goes on in its next life. One that is down is started. */
    restartAgent(agent: string): Effect.Effect<void, StopError | StartAgentError>
    /** Brings an agent's CLI and all it has started to a halt, in mid-turn too, and lets it go on; no time-out runs meanwhile. */
    pauseAgent(agent: string): Effect.Effect<void, PauseError>
    resumeAgent(agent: string): Effect.Effect<void, PauseError>
    /** Breaks off what the agent does. Its task goes on after a pause, in the same conversation, as one whose agent was stopped. */
    interruptAgent(agent: string): Effect.Effect<void, InterruptError>
    /** Another model, from the next turn on, until the agent's life ends. Whether there is such a model shows then. */
    setModel(agent: string, model: string): Effect.Effect<void, ModelError>
    /** Tells an agent something: in the turn that it is in, or with its next one. Costs no turn of its own while it is idle. */
    tellAgent(agent: string, text: string): Effect.Effect<Heard, TellError>
    /** Changes what an agent's running CLI may use; its next life begins with the config's limits again. Answers with those that the kernel does not enforce. */
    limitAgent(agent: string, limits: ProcessLimits): Effect.Effect<ReadonlyArray<Unenforced>, LimitError>
    /** What another config would change, compared with the one that holds now. Changes nothing. */
    plan(next: Config): Effect.Effect<Plan.Plan>
    /**
     * Follows another config: only what differs changes, one agent at a time, and who is busy finishes first. Where an agent
     * does not come up all is undone. Answers with what was changed; the tasks of the config are the caller's to submit. A
     * caller that is interrupted does not interrupt it.
     */
    reload(next: Config, options?: ReloadOptions): Effect.Effect<Plan.Plan, ReloadUnderWay | ReloadRolledBack>
    /** What an agent's CLI and all it has started use, as of the last look; undefined before the first. */
    usage(agent: string): Effect.Effect<TreeUsage | undefined, AgentUnknown>
    /** The supervision tree at this moment: states, restarts, last failures, uptime, when the next restart is due. */
    readonly tree: Effect.Effect<SupervisorInfo>
    /** Why an agent was restarted, or why it will not be, in a sentence. */
    explain(agent: string): Effect.Effect<string, AgentUnknown>
    /** What an agent has been of late, first to last, in earlier runs too. */
    moves(agent: string): Effect.Effect<ReadonlyArray<Move>, AgentUnknown>
    /** Why a task is where it is: who could take it and what they do, until when it is parked, for which tasks it waits. */
    explainTask(task: string): Effect.Effect<string, TaskUnknown | LedgerUnusable>
    /** What happens from now on, in order. Live once the Effect completes; ends with the Scope. */
    readonly events: Effect.Effect<Stream.Stream<Published>, never, Scope.Scope>
    /**
     * Begins no more work, and completes when what runs has ended: the time to close the Layer's Scope. Tasks are accepted
     * all the same, and wait for the next run with those that were not begun.
     */
    readonly drain: Effect.Effect<void>
    readonly draining: Effect.Effect<boolean>
    /** What this node does among others at the moment, and what it keeps for them where it cannot reach them. */
    readonly standing: () => Standing
    /** Completes when a `drain`, whoever asked for it, has. */
    readonly drained: Effect.Effect<void>
    /** Fails when the tree has given up; never succeeds before the Layer's Scope closes. */
    readonly ended: Effect.Effect<void, SupervisorGaveUp>
  }
>()("mister-smith/MisterSmith") {
  /** The whole node: agents start when the Layer is built, and everything they started is gone when its Scope has closed. */
  static readonly layer = (
    config: Config
  ): Layer.Layer<MisterSmith | Fleet, StartError, FileSystem.FileSystem | Path.Path> =>
    MisterSmith.layerWithEvents(config).pipe(Layer.provide(EventBus.layer))

  /** The same, reporting to an EventBus of the caller's, which can so hear of the very last things. */
  static readonly layerWithEvents = (
    config: Config
  ): Layer.Layer<MisterSmith | Fleet, StartError, EventBus | FileSystem.FileSystem | Path.Path> => {
    const live = liveOf(config)
    const self = selfOf(config)
    return Fleet.layer(self).pipe(
      Layer.provide(Layer.effect(Steered, MisterSmith)),
      Layer.provideMerge(MisterSmith.layerOn(config, live)),
      Layer.provideMerge(Placing.layer(self)),
      Layer.provideMerge(FleetVoice.layer(self)),
      Layer.provideMerge(
        FleetLedger.layer({
          self,
          shared: sharesLedger(config.transport.kind, config.fleet),
          dataDir: config.dataDir,
          kept: live.kept,
          bounds: live.retry
        })
      ),
      Layer.provideMerge(SqliteStateStore.layer(join(config.dataDir, SqliteStateStore.FILE))),
      Layer.provideMerge(FleetState.layerLease(self, sharesLedger(config.transport.kind, config.fleet))),
      Layer.provideMerge(FleetState.layerState(self)),
      Layer.provideMerge(announce(config)),
      Layer.provideMerge(FleetHome.layer(config.transport, config.fleet, self.node)),
      Layer.provideMerge(Farewell.layer),
      Layer.provideMerge(ProcessTree.layer),
      Layer.provideMerge(Logging.layer({ ...config.logs, dataDir: config.dataDir, agents: namesOf(config) })),
      Layer.provideMerge(ProcessHost.layer(config.dataDir, config.process)),
      Layer.provideMerge(SecureRandom.layerWebCrypto)
    )
  }

  /** The node on whatever world it is given: where processes are started, tasks kept and dice thrown is the caller's affair. */
  static readonly layerOn = (config: Config, live: Live = liveOf(config)) =>
    Layer.effect(MisterSmith, make(config, live)).pipe(
      // What is listed later starts earlier and stops later: no work is given out any more when the agents stop.
      Layer.provideMerge(WorkspaceKeeper.layer),
      Layer.provideMerge(Dispatcher.layer(live.retry)),
      Layer.provideMerge(Inputs.layer(config.dataDir, config.baseDir)),
      Layer.provideMerge(AgentTree.layer(config.supervision)),
      Layer.provideMerge(AgentPool.layer(config.agents)),
      Layer.provideMerge(Accounts.layer(selfOf(config).node)),
      Layer.provideMerge(Layer.mergeAll(Sessions.layer, Moves.layer)),
      Layer.provideMerge(Workspaces.layer(config.workspaces)),
      Layer.provideMerge(AgentHost.layer(hostOf(config))),
      // Before any agent has begun: a plugin that cannot be loaded leaves nothing behind.
      Layer.provideMerge(Routing.layer(config.routing))
    )
}

const hostOf = ({ baseDir, claude, dataDir, process }: Config) => ({
  ...claude,
  dataDir,
  baseDir,
  stopTime: longestStop(process.stop)
})

const selfOf = ({ fleet, name, transport }: Config): Self => ({
  node: fleet.node ?? nodeIdOf(name, hostname()),
  prefix: transport.prefix,
  settings: fleet,
  seed: fleet.seed
})

/** What its owners read anew each time they need it, so that a reload can change it in its place. */
interface Live {
  readonly retry: Config["retry"]
  readonly kept: { tasks: number; text: number; dead: number }
}
const liveOf = ({ deadTasksKept, retry, tasksKept }: Config): Live => ({
  retry: { ...retry },
  kept: { ...KEPT, tasks: tasksKept, dead: deadTasksKept }
})

const namesOf = ({ agents }: Config) =>
  agents.flatMap(({ id, replicas }) =>
    replicas === 1 ? [id] : Array.from({ length: replicas }, (_, index) => `${id}-${index + 1}`)
  )

const announce = ({ agents, name }: Config) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const bus = yield* EventBus
      const { swept } = yield* ProcessHost
      if (swept.length > 0) yield* bus.publish({ type: "runtime.swept", ended: swept.slice(0, MAX_NAMED) })
      yield* bus.publish({
        type: "runtime.started",
        name,
        version: VERSION,
        agents: agents.reduce((sum, { replicas }) => sum + replicas, 0)
      })
    })
  )

/** Processes, agents or tasks that an event names. */
const MAX_NAMED = 100

const decodeTask = Schema.decodeUnknownEffect(TaskSpec, { errors: "all", onExcessProperty: "error" })

const make = Effect.fnUntraced(function* (config: Config, live: Live) {
  const bus = yield* EventBus
  const ledger = yield* TaskLedger
  const inputs = yield* Inputs
  const pool = yield* AgentPool
  const dispatcher = yield* Dispatcher.Dispatcher
  const moves = yield* Moves
  const drained = yield* Deferred.make<void>()
  const routing = yield* Routing.Routing
  const edge = Option.getOrElse(yield* Effect.serviceOption(Edge), () => Edge.none)
  let draining = false
  const { agent: find, ended, explain, limit, pause, resume, start, stop, tree, usage } = yield* AgentTree
  const parts = yield* Effect.context<AgentPool | AgentTree | EventBus>()
  const scope = yield* Effect.scope
  let host = yield* AgentHost
  let current = config
  let reloading = false
  const reload = Effect.fn("MisterSmith.reload")(function* (next: Config, { now = false, submit }: ReloadOptions = {}) {
    const plan = Plan.plan(current, next)
    const began = yield* Clock.currentTimeMillis
    yield* bus.publish(plannedOf(plan))
    const accepted = Plan.accepted(current, next)
    const nextHost = Plan.sharesDiffer(current, next) ? yield* renewed(host, hostOf(accepted)) : host
    yield* AgentReload.carryOut({
      steps: stepsOf(plan, next),
      host: nextHost,
      now,
      submit: submit === undefined || plan.tasks.length === 0 ? Effect.void : submit(plan.tasks)
    }).pipe(
      Effect.provideContext(parts),
      Effect.tapError(({ at, notUndone, reason, undone }) =>
        bus.publish({
          type: "reload.rolled_back",
          cause: at,
          why: brief(reason),
          undone,
          notUndone: notUndone.map(({ agent }) => agent)
        })
      )
    )
    Object.assign(live.retry, accepted.retry)
    live.kept.tasks = accepted.tasksKept
    live.kept.dead = accepted.deadTasksKept
    host = nextHost
    current = accepted
    yield* bus.publish({ type: "reload.done", tookMillis: (yield* Clock.currentTimeMillis) - began })
    return plan
  })
  const onHere = ledger.here?.shared === true ? { node: ledger.here.node } : {}
  const result = (task: string) => Effect.raceFirst(ledger.result(task), Effect.andThen(ended, Effect.never))
  const decode = (task: TaskInput) => Effect.mapError(decodeTask(task), ({ issue }) => TaskInvalid.inIssue(issue))
  const accept = (specs: ReadonlyArray<TaskSpec>, options: SubmitOptions | undefined) =>
    inputs.accepting(specs, options, (specs) => ledger.submitAll(specs, options))
  const submit = Effect.fn("MisterSmith.submit")(function* (task: TaskInput, options?: SubmitOptions) {
    const [record] = yield* accept([yield* decode(task)], options)
    return record as TaskRecord
  })
  const tellDraining = Effect.suspend(() => {
    const { mode, reports, tasks } = edge.state()
    return bus.publish({ type: "fleet.mode", from: mode, to: "draining", reason: "it was told to", reports, tasks })
  })
  return MisterSmith.of({
    submit,
    submitAll: Effect.fn("MisterSmith.submitAll")(function* (tasks, options) {
      return yield* accept(yield* Effect.forEach(tasks, decode), options)
    }),
    result,
    perform: Effect.fn("MisterSmith.perform")(function* (task) {
      return yield* result((yield* submit(task)).id)
    }),
    cancel: (task, why = "on request") => ledger.cancel(task, why),
    replay: ledger.replay,
    drop: ledger.drop,
    task: ledger.get,
    attempts: ledger.history,
    sharesTasks: ledger.here?.shared === true,
    tasks: ledger.list({ limit: 1_000 }),
    tasksWhere: ledger.list,
    agents: Effect.map(pool.snapshot, (agents) => Here.own(agents, ledger.here)),
    stopAgent: stop,
    startAgent: start,
    restartAgent: (agent) => Effect.andThen(stop(agent), start(agent)),
    pauseAgent: pause,
    resumeAgent: resume,
    interruptAgent: (agent) => Effect.flatMap(find(agent), ({ interrupt }) => interrupt),
    setModel: (agent, model) => Effect.flatMap(find(agent), ({ setModel }) => setModel(model)),
    tellAgent: (agent, text) => Effect.flatMap(find(agent), ({ tell }) => tell(text)),
    limitAgent: limit,
    plan: (next) => Effect.sync(() => Plan.plan(current, next)),
    reload: (next, options) =>
      Effect.suspend((): Effect.Effect<Plan.Plan, ReloadUnderWay | ReloadRolledBack> => {
        if (reloading) return Effect.fail(new ReloadUnderWay())
        reloading = true
        const whole = Effect.ensuring(
          reload(next, options),
          Effect.sync(() => {
            reloading = false
          })
        )
        // Goes on when the caller goes away: half a config is worse than either.
        return Effect.flatMap(Effect.forkIn(whole, scope), Fiber.join)
      }),
    usage,
    tree,
    explain,
    // Who can be explained is there.
    moves: (agent) => Effect.map(explain(agent), () => moves.of(agent)),
    explainTask: Effect.fn("MisterSmith.explainTask")(function* (id) {
      const task = yield* ledger.get(id)
      const agents = Here.own(yield* pool.snapshot, ledger.here)
      const running = yield* ledger.list({ states: ["running"], limit: agents.length, ...onHere })
      const awaited = yield* Effect.forEach(edgesOf(task.spec).keys(), (on) =>
        Effect.catchTag(ledger.get(on), "TaskUnknown", () => Effect.succeed(undefined))
      )
      return explainTask(task, {
        now: yield* Clock.currentTimeMillis,
        agents,
        meant: Routing.meantBy(routing),
        performs: new Map(running.flatMap(({ agent, id }) => (agent === undefined ? [] : [[agent, id] as const]))),
        awaited: awaited.flatMap((other) => (other === undefined || isFinal(other.state) ? [] : [other])),
        draining,
        here: ledger.here
      })
    }),
    drain: Effect.suspend(() => {
      const told = draining || ledger.here?.shared !== true ? Effect.void : tellDraining
      draining = true
      return told.pipe(
        Effect.andThen(dispatcher.drain),
        Effect.andThen(Effect.asVoid(Deferred.succeed(drained, undefined)))
      )
    }),
    draining: Effect.sync(() => draining),
    standing: () => {
      if (ledger.here?.shared !== true) return {}
      const { mode, why, ...waiting } = edge.state()
      return { mode: draining ? "draining" : mode, ...(why === undefined ? {} : { why }), waiting }
    },
    drained: Deferred.await(drained),
    events: bus.subscribe,
    ended
  })
})

/** The steps of a plan, with what it takes to carry them out. */
const stepsOf = (plan: Plan.Plan, next: Config): ReadonlyArray<AgentReload.Step> => {
  const members = Plan.membersOf(next)
  return plan.agents.flatMap(({ agent, do: what, keys, renews }): ReadonlyArray<AgentReload.Step> => {
    const spec = members.get(agent)
    if (spec === undefined) return [{ do: "remove", agent }]
    if (what === "add") return [{ do: "add", agent, spec }]
    if (what === "change") {
      return [{ do: "change", agent, spec, renews, limits: keys.some((key) => Plan.PROCESS_LIMIT.test(key)) }]
    }
    return [{ do: "keep", agent }]
  })
}

const plannedOf = ({ agents, settings, tasks }: Plan.Plan): Event => {
  const which = (what: Plan.AgentStep["do"]) =>
    agents.flatMap((step) => (step.do === what ? [step.agent] : [])).slice(0, MAX_NAMED)
  const keys = (restart: boolean) =>
    settings.flatMap(({ holds, key }) => ((holds === "node_restart") === restart ? [key] : []))
  return {
    type: "reload.planned",
    add: which("add"),
    change: which("change"),
    remove: which("remove"),
    tasks: tasks.slice(0, MAX_NAMED),
    settings: keys(false),
    needsRestart: keys(true)
  }
}
