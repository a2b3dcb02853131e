/** Answers each route of the Api from the node and its History. Knows nothing of sockets. */
import { Deferred, Effect, Fiber, Layer, SchemaIssue, Stream } from "effect"
import { Sse } from "effect/encoding"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiMiddleware } from "effect/http-api"
import { AgentNotPerforming, AgentNotRunning, AgentUnknown, InboxFull } from "../agent/AgentError.ts"
import { ReloadRolledBack, ReloadUnderWay } from "../agent/ReloadError.ts"
import type { Fault } from "../domain/Fault.ts"
import type { Published } from "../event/Event.ts"
import { RegistryUnusable } from "../fleet/FleetError.ts"
import { LimitUnenforceable, PauseFailed } from "../process/ProcessError.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import {
  ChildNotFound,
  ChildRunning,
  ChildStartFailed,
  StopNotKept,
  SupervisorEnded
} from "../supervision/ChildError.ts"
import { labelsOf } from "../task/Labels.ts"
import {
  FileUnusable,
  LedgerFull,
  LedgerUnusable,
  TaskConflict,
  TaskEnded,
  TaskInvalid,
  TaskNotDead,
  TaskUnknown
} from "../task/TaskError.ts"
import type { TaskRecord } from "../task/TaskRecord.ts"
import { ConfigRefused, NodeStopping, type Refused, RequestInvalid, refused } from "./AdminError.ts"
import { Api, LISTED, Typed } from "./Api.ts"
import { eventId, seqIn, speaksOf } from "./EventView.ts"
import { type From, History } from "./History.ts"
import { Operated } from "./Operated.ts"
import { resultViewOf, storyOf, summaryOf, viewOf } from "./TaskView.ts"
import { type NodeView, treeOf } from "./TreeView.ts"

/** The errors of these classes travel as themselves, every other Fault as `Refused`. */
const only =
  <C extends ReadonlyArray<abstract new (...args: never) => Fault>>(...named: C) =>
  (fault: Fault): InstanceType<C[number]> | Refused =>
    named.some((each) => fault instanceof each) ? (fault as InstanceType<C[number]>) : refused(fault)

const agentErrors = [AgentUnknown, ChildNotFound, StopNotKept, SupervisorEnded] as const
const runningErrors = [AgentUnknown, AgentNotRunning] as const

const tasks = (closing: Deferred.Deferred<void>) =>
  HttpApiBuilder.group(
    Api,
    "tasks",
    Effect.fnUntraced(function* (handlers) {
      const operated = yield* Operated
      return handlers.handleAll({
        submit: ({ payload }) => {
          crashPoint("ack.before")
          return operated
            .submit(payload)
            .pipe(
              Effect.map(kept),
              Effect.mapError(only(TaskConflict, TaskInvalid, FileUnusable, LedgerFull, LedgerUnusable))
            )
        },
        tasks: ({ query: { agent, label = [], limit = LISTED, node, state, type } }) =>
          operated
            .tasks({ agent, node, labels: labelsOf(label), limit: limit + 1, states: state && [state], type })
            .pipe(
              Effect.map((found) => ({
                tasks: found.slice(0, limit).reverse().map(summaryOf),
                more: found.length > limit
              })),
              Effect.mapError(only(LedgerUnusable))
            ),
        task: ({ params: { id } }) =>
          Effect.zipWith(operated.task(id), operated.attempts(id), storyOf).pipe(
            Effect.mapError(only(TaskUnknown, LedgerUnusable))
          ),
        cancelTask: ({ params: { id }, payload: { why } }) =>
          operated
            .cancel(id, why)
            .pipe(Effect.map(viewOf), Effect.mapError(only(TaskUnknown, TaskEnded, LedgerUnusable))),
        retryTask: ({ params: { id } }) =>
          retry(operated, id).pipe(
            Effect.map(viewOf),
            Effect.mapError(only(TaskUnknown, TaskEnded, TaskConflict, LedgerFull, LedgerUnusable))
          ),
        explainTask: ({ params: { id } }) =>
          operated.explainTask(id).pipe(
            Effect.map((why) => ({ task: id, why })),
            Effect.mapError(only(TaskUnknown, LedgerUnusable))
          ),
        replayTask: ({ params: { id } }) =>
          operated
            .replay(id)
            .pipe(Effect.map(viewOf), Effect.mapError(only(TaskUnknown, TaskNotDead, LedgerFull, LedgerUnusable))),
        dropTask: ({ params: { id } }) =>
          operated.drop(id).pipe(Effect.map(viewOf), Effect.mapError(only(TaskUnknown, TaskNotDead, LedgerUnusable))),
        result: ({ params: { id } }) =>
          operated
            .result(id)
            .pipe(
              Effect.map(resultViewOf),
              Effect.mapError(only(TaskUnknown, LedgerUnusable)),
              Effect.raceFirst(Effect.andThen(Deferred.await(closing), Effect.fail(new NodeStopping({ task: id }))))
            )
      })
    })
  )

/** From here on the answer to who submits is on its way. */
const kept = (record: TaskRecord) => {
  crashPoint("ack.kept")
  return viewOf(record)
}

/** What succeeded has nothing to be done once more for. */
const retry = Effect.fnUntraced(function* (operated: Operated["Service"], id: string) {
  const { spec, state } = yield* operated.task(id)
  if (state === "succeeded") return yield* new TaskEnded({ task: id, state })
  return yield* operated.submit(spec, { again: true })
})

const agents = HttpApiBuilder.group(
  Api,
  "agents",
  Effect.fnUntraced(function* (handlers) {
    const operated = yield* Operated
    const scope = yield* Effect.scope
    /** Goes on when the caller goes away: half stopped is worse than stopped. */
    const whole = <E>(act: Effect.Effect<void, E>) => Effect.flatMap(Effect.forkIn(act, scope), Fiber.join)
    return handlers.handleAll({
      stopAgent: ({ params: { id } }) => Effect.mapError(whole(operated.stopAgent(id)), only(...agentErrors)),
      startAgent: ({ params: { id } }) =>
        Effect.mapError(whole(operated.startAgent(id)), only(...agentErrors, ChildRunning, ChildStartFailed)),
      restartAgent: ({ params: { id } }) =>
        Effect.mapError(whole(operated.restartAgent(id)), only(...agentErrors, ChildRunning, ChildStartFailed)),
      pauseAgent: ({ params: { id } }) =>
        Effect.mapError(whole(operated.pauseAgent(id)), only(...runningErrors, PauseFailed)),
      resumeAgent: ({ params: { id } }) =>
        Effect.mapError(whole(operated.resumeAgent(id)), only(...runningErrors, PauseFailed)),
      interruptAgent: ({ params: { id } }) =>
        Effect.mapError(whole(operated.interruptAgent(id)), only(AgentUnknown, AgentNotPerforming)),
      setModel: ({ params: { id }, payload: { model } }) =>
        Effect.mapError(whole(operated.setModel(id, model)), only(...runningErrors)),
      tellAgent: ({ params: { id }, payload: { text } }) =>
        operated.tellAgent(id, text).pipe(
          Effect.map((heard) => ({ heard })),
          Effect.mapError(only(...runningErrors, InboxFull))
        ),
      limitAgent: ({ params: { id }, payload }) =>
        Effect.mapError(operated.limitAgent(id, payload), only(...runningErrors, LimitUnenforceable)),
      explain: ({ params: { id } }) =>
        operated.explain(id).pipe(
          Effect.map((why) => ({ agent: id, why })),
          Effect.mapError(only(AgentUnknown))
        ),
      moves: ({ params: { id } }) => Effect.mapError(operated.moves(id), only(AgentUnknown))
    })
  })
)

const node = (self: () => NodeView, closing: Deferred.Deferred<void>) =>
  HttpApiBuilder.group(
    Api,
    "node",
    Effect.fnUntraced(function* (handlers) {
      const operated = yield* Operated
      const history = yield* History
      const scope = yield* Effect.scope
      // An agent performs one task at a time.
      const running = Effect.flatMap(operated.agents, ({ length }) =>
        Effect.mapError(operated.tasks({ states: ["running"], limit: length }), only(LedgerUnusable))
      )
      const run = self().startedAt.toString(36)
      return handlers.handleAll({
        node: () => Effect.sync(self),
        tree: Effect.fnUntraced(function* () {
          const tree = yield* operated.tree
          const agents = yield* Effect.forEach(yield* operated.agents, (agent) =>
            operated.usage(agent.id).pipe(
              Effect.mapError(refused),
              Effect.map((usage) => ({ ...agent, usage }))
            )
          )
          return treeOf(self(), tree, agents, yield* running)
        }),
        nodes: () => Effect.mapError(operated.nodes, only(RegistryUnusable)),
        drain: Effect.fnUntraced(function* () {
          // Asked first: where nothing runs, the node ends at once.
          const found = yield* running
          yield* Effect.forkIn(operated.drain, scope)
          return { running: found.map(({ id }) => id) }
        }),
        reload: ({ payload: { now = false, plan = false } }) =>
          Effect.mapError(operated.reload({ plan, now }), only(ConfigRefused, ReloadUnderWay, ReloadRolledBack)),
        events: Effect.fnUntraced(function* ({ headers, query: { follow = true, last, ...about } }) {
          const id = headers["last-event-id"]
          const after = id === undefined ? undefined : seqIn(run, id)
          // A reader who was with another run has missed its end, and gets all there is of this one.
          const other = id !== undefined && after === undefined
          const events = yield* history.read(other ? { after: 0 } : beginning({ after, last, follow }), follow)
          return HttpServerResponse.stream(
            Stream.make(
              BEGIN,
              ...(other ? [sse(run, { type: "events.gap", missed: 0, seq: 0, at: self().startedAt })] : [])
            ).pipe(
              Stream.concat(
                events.pipe(
                  Stream.filter((event) => speaksOf(event, about)),
                  Stream.map((event) => sse(run, event)),
                  Stream.interruptWhen(Deferred.await(closing))
                )
              ),
              Stream.encodeText
            ),
            { contentType: "text/event-stream", headers: { "cache-control": "no-store" } }
          )
        })
      })
    })
  )

/** Where a reader begins who has not said: who follows, now; who does not, with all there is. */
const beginning = ({ after, follow, last }: From & { readonly follow: boolean }): From =>
  after !== undefined || last !== undefined || follow ? { after, last } : { after: 0 }

/** Sends the headers: whoever has them will miss nothing. A comment, which readers pass over. */
const BEGIN = ":\n\n"

const sse = (run: string, event: Published): string =>
  Sse.encoder.write({ _tag: "Event", id: eventId(run, event), event: event.type, data: JSON.stringify(event) })

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** What cannot be decoded: a task that is none, or a request that is none. */
const typed = HttpApiMiddleware.layerSchemaErrorTransform(Typed, (error, { endpoint }) => {
  if (error.kind === "Body" || error.kind === "ResponseHeaders") return Effect.fail(error)
  const problem = format(error.cause.issue)
    .issues.map(({ message, path = [] }) => (path.length === 0 ? message : `${path.map(String).join(".")}: ${message}`))
    .join("; ")
  return Effect.fail(
    endpoint.identifier === "submit" && error.kind === "Payload"
      ? TaskInvalid.inIssue(error.cause.issue)
      : new RequestInvalid({ problem: `${error.kind.toLowerCase()}: ${problem}` })
  )
})

/** All routes, and the OpenAPI document. Whoever waits is let go when `closing` is done. */
export const routes = (self: () => NodeView, closing: Deferred.Deferred<void>) =>
  HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
    Layer.provide([tasks(closing), agents, node(self, closing)]),
    Layer.provide(typed)
  )
