/**
 * The door of this room. A supervisor starts its children in order, keeps them alive by its strategy, and stops them
 * in reverse order when its Scope closes or when it gives up. It knows nothing of what it supervises. A supervisor is
 * a child like any other (`Supervisor.child`), so trees are nesting. Used as a namespace: `import * as Supervisor`.
 */
import { Context, Deferred, Duration, Effect, Scope } from "effect"
import type { Fault } from "../domain/Fault.ts"
import { report } from "../domain/Fault.ts"
import { type Child, refusal } from "./Child.ts"
import type {
  ChildAlreadyPresent,
  ChildNotFound,
  ChildRunning,
  ChildStartFailed,
  StopNotKept,
  SupervisorEnded,
  SupervisorFull
} from "./ChildError.ts"
import { Engine } from "./Engine.ts"
import type { EscalationLadder } from "./EscalationLadder.ts"
import { explain } from "./Explain.ts"
import { Lineage } from "./Lineage.ts"
import type { Report } from "./Reporter.ts"
import { Requests } from "./Requests.ts"
import type { RestartBudget } from "./RestartBudget.ts"
import { type ChildCount, type ChildInfo, countOf, infoOf, type SupervisorInfo, whichOf } from "./Snapshot.ts"
import type { StoppedStore } from "./StoppedStore.ts"
import type { AutoShutdown, Strategy } from "./Strategy.ts"
import { type ChildRefused, SupervisorGaveUp, SupervisorRefused } from "./SupervisionError.ts"

export interface SupervisorSpec<R = never> {
  readonly id: string
  readonly strategy: Strategy
  /** Restarts allowed within the window; 0 gives up at the first, Infinity never does. */
  readonly maxRestarts: number
  readonly within: Duration.Input
  /** Started left to right, each when the one before is ready; stopped right to left. */
  readonly children: ReadonlyArray<Child<Fault, R>>
  /** When it ends by itself. Default never. */
  readonly autoShutdown?: AutoShutdown
  /** Children it may have at most; a request for one more fails with `SupervisorFull`. Default Infinity. */
  readonly maxChildren?: number
  /** At the end all children are told to stop at once, instead of one after the other. Default false. */
  readonly stopTogether?: boolean
  /** What it tries when its restarts are used up, before it gives up. Default nothing. */
  readonly ladder?: EscalationLadder
  /** Restarts allowed to it and all supervisors below it together, beside their own. Default: that of the one above. */
  readonly budget?: RestartBudget
  /** Remembers who was stopped on purpose. Default: that of the supervisor above, else nobody does. */
  readonly stopped?: StoppedStore
  /** Hears every decision, in order. Nothing waits for it. Default: that of the supervisor above. */
  readonly report?: Report
  /** Only for a supervisor that is a child: how its parent treats it. Defaults: permanent, infinity. */
  readonly restart?: Child["restart"]
  readonly shutdown?: Child["shutdown"]
  readonly backoff?: Child["backoff"]
  readonly significant?: boolean
}

export interface Supervisor<in R = never> {
  readonly id: string
  /** its place in the tree, such as "node/agents" */
  readonly path: string
  /** Completes when it has stopped as asked, and fails when it has given up; either way no child is running. */
  readonly ended: Effect.Effect<void, SupervisorGaveUp>
  /** The children in the order of their start, as they are now. */
  readonly which: Effect.Effect<ReadonlyArray<ChildInfo>>
  /** It and all below it, as a value. */
  readonly tree: Effect.Effect<SupervisorInfo>
  /** Why a child is as it is: why it was restarted, or why it will not be. Named from here, such as "inner/worker-1". */
  explain(way: string): Effect.Effect<string, ChildNotFound>
  /** How many children it has, running or not. */
  readonly count: Effect.Effect<ChildCount>
  /** Adds a child at the end. Completes when it is ready. A child that fails to start is not kept. */
  startChild(
    child: Child<Fault, R>
  ): Effect.Effect<void, ChildRefused | ChildAlreadyPresent | ChildStartFailed | SupervisorFull | SupervisorEnded>
  /** Stops a child, which stays stopped and in the list (a temporary one is removed). Completes when it has stopped. */
  terminateChild(id: string): Effect.Effect<void, ChildNotFound | StopNotKept | SupervisorEnded>
  /** Starts a child that is down. Completes when it is ready. */
  restartChild(
    id: string
  ): Effect.Effect<void, ChildNotFound | ChildRunning | ChildStartFailed | StopNotKept | SupervisorEnded>
  /**
   * Stops the child of this name, puts the other in its place, and starts that where `wanted` says so when it comes to it.
   * Completes when it is ready. Nothing of it is remembered as a stop. A child whose start fails stays, and stays down.
   */
  exchangeChild(
    child: Child<Fault, R>,
    wanted: () => boolean
  ): Effect.Effect<void, ChildRefused | ChildStartFailed | SupervisorEnded>
  /** How the child of this name begins and is treated from its next life on. */
  amendChild(child: Child<Fault, R>): Effect.Effect<void, ChildRefused | ChildNotFound | SupervisorEnded>
  /** Stops a child where it runs, and removes it. */
  removeChild(id: string): Effect.Effect<void, StopNotKept | SupervisorEnded>
  /** The order in which children are started from now on; those not named come last. */
  arrangeChildren(ids: ReadonlyArray<string>): Effect.Effect<void, SupervisorEnded>
  /** Removes a child that is down. */
  deleteChild(id: string): Effect.Effect<void, ChildNotFound | ChildRunning | StopNotKept | SupervisorEnded>
}

const refused = <R>(path: string, spec: SupervisorSpec<R>) => {
  const refuse = (field: string, value: unknown, expected: string) =>
    new SupervisorRefused({ supervisor: path, field, value: String(value), expected })
  if (spec.id === "" || spec.id.includes("/")) return refuse("id", JSON.stringify(spec.id), "a name without slashes")
  const { maxRestarts } = spec
  if (!(maxRestarts === Number.POSITIVE_INFINITY || (Number.isInteger(maxRestarts) && maxRestarts >= 0))) {
    return refuse("maxRestarts", maxRestarts, "a whole number of 0 or more")
  }
  const within = Duration.fromInput(spec.within)
  if (within._tag === "None" || Duration.toMillis(within.value) <= 0) {
    return refuse("within", spec.within, "a time above 0")
  }
  const maxChildren = spec.maxChildren ?? Number.POSITIVE_INFINITY
  if (!(maxChildren >= spec.children.length)) {
    return refuse("maxChildren", maxChildren, `${spec.children.length} or more, the number of its children`)
  }
  const ids = new Set<string>()
  for (const child of spec.children) {
    const wrong = refusal(path, child, spec.autoShutdown ?? "never")
    if (wrong !== undefined) return wrong
    if (ids.has(child.id)) return refuse("children", `"${child.id}" twice`, "children with different ids")
    ids.add(child.id)
  }
  return undefined
}

/**
 * Completes when all children have been ready once. Fails with `SupervisorGaveUp` when one could not be started, after
 * those before it have been stopped again. Ends with the Scope, whose closing waits for every child to stop.
 */
export const start = <R = never>(
  spec: SupervisorSpec<R>
): Effect.Effect<Supervisor<R>, SupervisorGaveUp | SupervisorRefused | ChildRefused, R | Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<R | Scope.Scope>()
    const above = Context.get(context, Lineage)
    const path = above.path === "" ? spec.id : `${above.path}/${spec.id}`
    const wrong = refused(path, spec)
    if (wrong !== undefined) return yield* wrong
    const inherited = {
      report: spec.report ?? above.report,
      budget: spec.budget ?? above.budget,
      stopped: spec.stopped ?? above.stopped
    }
    const engine: Engine<R | Scope.Scope> = new Engine<R | Scope.Scope>(
      {
        path,
        strategy: spec.strategy,
        maxRestarts: spec.maxRestarts,
        withinMillis: Duration.toMillis(spec.within),
        autoShutdown: spec.autoShutdown ?? "never",
        stopTogether: spec.stopTogether ?? false,
        ladder: spec.ladder,
        maxChildren: spec.maxChildren ?? Number.POSITIVE_INFINITY,
        ...inherited
      },
      Context.add(context, Lineage, {
        path,
        ...inherited,
        nest: (id, info) => {
          engine.nested.set(id, info)
          return () => {
            if (engine.nested.get(id) === info) engine.nested.delete(id)
          }
        }
      })
    )
    const stopped = (yield* inherited.stopped?.all ?? Effect.succeed(undefined)) ?? new Set()
    for (const child of spec.children) {
      const entry = engine.table.add(child)
      if (stopped.has(`${path}/${child.id}`)) entry.note = "was stopped on request, in an earlier run"
      else if (child.standby === true) entry.note = "is a standby, and has not been needed"
      if (entry.note !== undefined) entry.status = "stopped"
    }
    // Run first, then owned: a Scope that is closed already closes what is added to it at once.
    yield* Effect.uninterruptible(
      Effect.suspend(() => {
        const leave = above.nest(spec.id, () => infoOf(engine))
        engine.run()
        return Scope.addFinalizer(Context.get(context, Scope.Scope), Effect.ensuring(engine.close, Effect.sync(leave)))
      })
    )
    yield* Deferred.await(engine.booted)
    const requests = new Requests(engine)
    return {
      id: spec.id,
      path,
      ended: Deferred.await(engine.ended),
      which: Effect.sync(() => whichOf(engine)),
      tree: Effect.sync(() => infoOf(engine)),
      explain: (way) => Effect.suspend(() => explain(infoOf(engine), way)),
      count: Effect.sync(() => countOf(engine)),
      startChild: (child) => requests.startChild(child),
      terminateChild: (id) => requests.terminateChild(id),
      restartChild: (id) => requests.restartChild(id),
      exchangeChild: (child, wanted) => requests.exchangeChild(child, wanted),
      amendChild: (child) => requests.amendChild(child),
      removeChild: (id) => requests.removeChild(id),
      arrangeChildren: (ids) => requests.arrangeChildren(ids),
      deleteChild: (id) => requests.deleteChild(id)
    } satisfies Supervisor<R>
  })

/**
 * A supervisor as a child. `onStart` is given each of its lives once it has started. One that is refused, for it or its
 * children are specified wrongly, gives up at once.
 */
export const child = <R = never>(
  spec: SupervisorSpec<R>,
  onStart?: (supervisor: Supervisor<R>) => void
): Child<SupervisorGaveUp, R> => ({
  id: spec.id,
  kind: "supervisor",
  ...(spec.restart === undefined ? {} : { restart: spec.restart }),
  ...(spec.shutdown === undefined ? {} : { shutdown: spec.shutdown }),
  ...(spec.backoff === undefined ? {} : { backoff: spec.backoff }),
  ...(spec.significant === undefined ? {} : { significant: spec.significant }),
  start: start(spec).pipe(
    Effect.map((supervisor) => {
      onStart?.(supervisor)
      return supervisor.ended
    }),
    Effect.catchTags({
      SupervisorRefused: (wrong) => Effect.fail(asGaveUp(spec, wrong)),
      ChildRefused: (wrong) => Effect.fail(asGaveUp(spec, wrong))
    })
  )
})

const asGaveUp = <R>(spec: SupervisorSpec<R>, wrong: SupervisorRefused | ChildRefused) =>
  new SupervisorGaveUp({
    supervisor: wrong.supervisor,
    why: "refused",
    child: "child" in wrong ? wrong.child : "",
    maxRestarts: spec.maxRestarts,
    withinMillis: 0,
    history: [{ child: "child" in wrong ? wrong.child : "", at: 0, reason: report(wrong) }]
  })
