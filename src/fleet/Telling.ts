/**
 * Tells the fleet what happens on this node: every event, every move of an agent, how far tasks are and how they ended.
 *
 * Promises:
 * - in the order in which it happened, results after the event that tells of them
 * - what is told holds no secret: events have passed Redaction, results pass it here
 * - where the node keeps events while it is cut off, they are told late, in order (LateEvents.ts)
 * - it never holds up the node. What cannot be told, because more waits for the link than may, is counted and said once in
 *   the log; the ledger has every result all the same
 * - it hears the end of the agents: it stops when they have
 */
import { Deferred, Effect, Option, type Result, type Scope, Stream } from "effect"
import type { Fault } from "../domain/Fault.ts"
import { AgentId, TaskId } from "../domain/Ids.ts"
import { redactIn } from "../domain/Redaction.ts"
import { isFinal } from "../domain/Task.ts"
import type { Published } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"
import { MAX_DETAIL, resultOf } from "../message/Assignment.ts"
import type { Message } from "../message/Message.ts"
import type { RouterShape } from "../message/MessageRouter.ts"
import type { Subjects } from "../message/Subject.ts"
import { inModule } from "../observability/Log.ts"
import { TaskLedger } from "../task/TaskLedger.ts"
import { Farewell } from "../transport/Farewell.ts"
import type { LateEvents } from "./LateEvents.ts"
import * as LinkEvents from "./LinkEvents.ts"
import type { Roster } from "./Roster.ts"

/** How long it may take until what has happened last was heard here, when the node stops. */
const LAST_WORDS = "2 seconds"

/** What names something is as it is. */
const NAMES = new Set(["task", "agent", "status", "session", "kind", "denied", "traceparent"])

type Told = readonly [subject: Result.Result<string, Fault>, message: Message & { readonly correlationId?: string }]

export const tell = Effect.fnUntraced(function* (
  events: Stream.Stream<Published>,
  {
    flush,
    late,
    node,
    roster,
    router,
    subjects
  }: {
    readonly node: string
    readonly roster: Roster
    readonly router: RouterShape
    readonly subjects: Subjects
    readonly late: LateEvents
    /** Completes when what was published has left. */
    readonly flush: Effect.Effect<void, Fault>
  }
): Effect.fn.Return<void, never, EventBus | TaskLedger | Scope.Scope> {
  const bus = yield* EventBus
  const ledger = yield* TaskLedger
  const farewell = yield* Farewell
  const scope = yield* Effect.scope
  let seen = 0
  let lost = 0
  let ending: { readonly at: number; readonly done: Deferred.Deferred<void> } | undefined

  const publish = ([subject, message]: Told) =>
    Effect.gen(function* () {
      yield* router.publish(yield* Effect.fromResult(subject), message)
      if (lost > 0) yield* Effect.logInfo(`what happens here is told again; ${lost} messages were lost`)
      lost = 0
    }).pipe(
      Effect.catch((fault: Fault) => {
        lost++
        return lost === 1
          ? Effect.logWarning(`the fleet is not told all that happens here: ${fault.message}`)
          : Effect.void
      })
    )

  const ended = (task: string) =>
    ledger.get(task).pipe(
      Effect.option,
      Effect.map((found): ReadonlyArray<Told> => {
        const record = Option.getOrUndefined(found)
        if (record?.result === undefined) return []
        const { usage, ...rest } = record.result
        const body = resultOf({ ...redactIn(rest, NAMES), usage }, { attempt: record.attempt, node })
        return [[subjects.result(task), { type: "TaskResult", body, correlationId: task }]]
      })
    )

  const hear = Effect.fnUntraced(function* (event: Published) {
    roster.note(event)
    const kept = yield* late.keep(event)
    for (const told of said(event, { node, roster, subjects }))
      if (!kept || told[1].type !== "Event") yield* publish(told)
    if (event.type === "fleet.mode" && event.to === "full") yield* Effect.forkIn(late.tell, scope)
    // Of a shared ledger's tasks the ledger tells it, and what it tells is kept.
    if (event.type === "task.state" && isFinal(event.to) && ledger.here?.shared !== true)
      for (const told of yield* ended(event.task)) yield* publish(told)
    seen = event.seq
    if (ending !== undefined && seen >= ending.at) yield* Deferred.succeed(ending.done, undefined)
  })

  // Of an earlier life.
  yield* Effect.forkScoped(late.tell)
  // What is wrong with one event must not silence the node.
  const surely = (event: Published) =>
    Effect.catchDefect(hear(event), (defect) => Effect.logError(`${event.type} could not be told`, defect))
  yield* Effect.forkScoped(inModule("fleet")(Stream.runForEach(events, surely)))
  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      const at = yield* bus.last
      if (seen < at) {
        const done = yield* Deferred.make<void>()
        ending = { at, done }
        yield* Effect.timeoutOption(Deferred.await(done), LAST_WORDS)
      }
      yield* farewell.say(flush)
    })
  )
})

/** What an event makes of others' business. */
const said = (
  event: Published,
  { node, roster, subjects }: { readonly node: string; readonly roster: Roster; readonly subjects: Subjects }
): ReadonlyArray<Told> => {
  const told: Array<Told> = LinkEvents.isOwnEcho(event)
    ? []
    : [[subjects.event(event.type), { type: "Event", body: event }]]
  switch (event.type) {
    case "agent.state": {
      const body = roster.status(event.agent)
      if (body !== undefined) told.push([subjects.status(event.agent), { type: "AgentStatus", body }])
      return told
    }
    case "task.state": {
      // Who queues what another node has lost is not who had it.
      const { agent, at, attempt, node: holder = node, reason, task, to } = event
      if (to !== "queued" && to !== "running" && to !== "parked" && to !== "waiting") return told
      const detail = reason?.message.slice(0, MAX_DETAIL)
      told.push(progress({ task, attempt, agent, holder, at, doing: to, detail }))
      return told
    }
    case "task.progress": {
      const { agent, at, detail, doing, task } = event
      const attempt = roster.attemptOf(task)
      if (attempt !== undefined) told.push(progress({ task, attempt, agent, holder: node, at, doing, detail }))
      return told
    }
    default:
      return told
  }

  function progress({
    agent,
    at,
    attempt,
    detail,
    doing,
    holder,
    task
  }: {
    readonly task: string
    readonly attempt: number
    readonly agent: string | undefined
    /** The node of the agent. */
    readonly holder: string
    readonly at: number
    readonly doing: "queued" | "running" | "parked" | "waiting" | "text" | "tool"
    readonly detail: string | undefined
  }): Told {
    const body = {
      task: TaskId.make(task),
      attempt,
      node: holder,
      ...(agent === undefined ? {} : { agent: AgentId.make(agent) }),
      doing,
      ...(detail === undefined ? {} : { detail }),
      at
    }
    return [subjects.progress(task), { type: "TaskProgress", body, correlationId: task }]
  }
}
