/**
 * All that a running node can be asked and told, as schemas: the server, the client and the OpenAPI document are made
 * from this one list. Every refusal is a typed error; a fault that a route does not name travels as `Refused`.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, OpenApi } from "effect/http-api"
import { AgentNotPerforming, AgentNotRunning, AgentUnknown, InboxFull } from "../agent/AgentError.ts"
import { Move } from "../agent/Moves.ts"
import { ReloadRolledBack, ReloadUnderWay } from "../agent/ReloadError.ts"
import { VERSION } from "../domain/Version.ts"
import { RegistryUnusable } from "../fleet/FleetError.ts"
import { Listed } from "../fleet/NodeRecord.ts"
import { AgentMessage } from "../message/Command.ts"
import { Name } from "../message/Fields.ts"
import { LimitUnenforceable, PauseFailed } from "../process/ProcessError.ts"
import { fields as limitFields } from "../process/ProcessLimits.ts"
import {
  ChildNotFound,
  ChildRunning,
  ChildStartFailed,
  StopNotKept,
  SupervisorEnded
} from "../supervision/ChildError.ts"
import { Label } from "../task/Labels.ts"
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
import { TaskSpec } from "../task/TaskSpec.ts"
import { ConfigRefused, NodeStopping, Refused, RequestInvalid } from "./AdminError.ts"
import { EventView } from "./EventView.ts"
import { PlanView } from "./ReloadView.ts"
import { ResultView, TaskList, TaskStateView, TaskStory, TaskView } from "./TaskView.ts"
import { NodeView, TreeView } from "./TreeView.ts"

const status = <S extends Schema.Top>(error: S, code: number) => error.pipe(HttpApiSchema.status(code))

const other = status(Refused, 500)
const ledgerUnusable = status(LedgerUnusable, 503)
const taskUnknown = [status(TaskUnknown, 404), ledgerUnusable, other] as const
const agentErrors = [
  status(AgentUnknown, 404),
  status(ChildNotFound, 404),
  status(StopNotKept, 500),
  status(SupervisorEnded, 503),
  other
] as const

const runningErrors = [status(AgentUnknown, 404), status(AgentNotRunning, 409), other] as const

/** What an agent may use, as the config says it. */
export const LimitsView = Schema.Struct(limitFields)

/** What a node that is to end finishes before. */
export const Draining = Schema.Struct({ running: Schema.Array(Schema.String) })

/** Turns a request that cannot be decoded into a typed error. */
export class Typed extends HttpApiMiddleware.Service<Typed>()("mister-smith/admin/Typed", {
  error: [status(RequestInvalid, 400), status(TaskInvalid, 422)]
}) {}

/** Tasks listed where no number is asked for. */
export const LISTED = 100
const Count = Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 })))
/** The longest reason for a cancellation, in characters. */
export const MAX_WHY = 1000
const id = { id: Schema.String }
const described = (description: string) => OpenApi.annotations({ description })

const node = HttpApiGroup.make("node", { topLevel: true })
  .add(
    HttpApiEndpoint.get("node", "/node", { success: NodeView, error: other }).annotateMerge(
      described("Who answers here")
    ),
    HttpApiEndpoint.get("tree", "/tree", { success: TreeView, error: [ledgerUnusable, other] }).annotateMerge(
      described("The supervision tree and the agents in it, at this moment")
    ),
    HttpApiEndpoint.get("nodes", "/nodes", {
      success: Schema.Array(Listed),
      error: [status(RegistryUnusable, 503), other]
    }).annotateMerge(described("Who is in the fleet, this node among them, each as of its last heartbeat")),
    HttpApiEndpoint.post("drain", "/drain", { success: Draining, error: [ledgerUnusable, other] }).annotateMerge(
      described("Begins no more work: the node ends when what runs has ended. Answers at once with what runs")
    ),
    HttpApiEndpoint.post("reload", "/reload", {
      payload: Schema.Struct({ plan: Schema.optionalKey(Schema.Boolean), now: Schema.optionalKey(Schema.Boolean) }),
      success: PlanView,
      error: [status(ConfigRefused, 422), status(ReloadUnderWay, 409), status(ReloadRolledBack, 502), other]
    }).annotateMerge(
      described(
        "Reads the config file that the node was started with again and answers with what that changes, once it is carried " +
          "out; `plan` only answers, `now` stops agents in the middle of their tasks, which go on afterwards"
      )
    ),
    HttpApiEndpoint.get("events", "/events", {
      headers: { "last-event-id": Schema.optionalKey(Schema.String) },
      query: {
        follow: Schema.optionalKey(Schema.Boolean),
        last: Schema.optionalKey(Count),
        task: Schema.optionalKey(Schema.String),
        agent: Schema.optionalKey(Schema.String)
      },
      success: HttpApiSchema.StreamSse({
        events: Schema.Struct({
          id: Schema.optional(Schema.String),
          event: Schema.String,
          data: Schema.fromJsonString(EventView)
        })
      })
    }).annotateMerge(
      described(
        "What happens from now on, live once the answer begins. `Last-Event-ID` goes on after that event, `last` begins " +
          "with so many earlier ones, `follow=false` ends with what there is. What is not kept any more is an `events.gap`"
      )
    )
  )
  .middleware(Typed)

const tasks = HttpApiGroup.make("tasks", { topLevel: true })
  .add(
    HttpApiEndpoint.post("submit", "/tasks", {
      payload: TaskSpec,
      success: TaskView,
      error: [
        status(TaskConflict, 409),
        status(TaskInvalid, 422),
        status(FileUnusable, 422),
        status(LedgerFull, 503),
        ledgerUnusable,
        other
      ]
    }).annotateMerge(described("Accepts a task. The same id with the same content is answered with what is there")),
    HttpApiEndpoint.get("tasks", "/tasks", {
      query: {
        state: Schema.optionalKey(TaskStateView),
        type: Schema.optionalKey(Schema.String),
        agent: Schema.optionalKey(Schema.String),
        node: Schema.optionalKey(Schema.String),
        label: Schema.optionalKey(Schema.ArrayEnsure(Label)),
        limit: Schema.optionalKey(Count)
      },
      success: TaskList,
      error: [ledgerUnusable, other]
    }).annotateMerge(described(`The latest tasks, ${LISTED} where no limit is given`)),
    HttpApiEndpoint.get("task", "/tasks/:id", { params: id, success: TaskStory, error: taskUnknown }).annotateMerge(
      described("A task and the attempts at it")
    ),
    HttpApiEndpoint.post("cancelTask", "/tasks/:id/cancel", {
      params: id,
      payload: Schema.Struct({
        why: Schema.optionalKey(Schema.String.pipe(Schema.check(Schema.isMaxLength(MAX_WHY))))
      }),
      success: TaskView,
      error: [...taskUnknown, status(TaskEnded, 409)]
    }).annotateMerge(described("Ends a task that has not ended, and the work on it")),
    HttpApiEndpoint.post("retryTask", "/tasks/:id/retry", {
      params: id,
      success: TaskView,
      error: [...taskUnknown, status(TaskEnded, 409), status(TaskConflict, 409), status(LedgerFull, 503)]
    }).annotateMerge(
      described(
        "Does a task once more that has failed, was given up or was cancelled; one that has not ended is answered as it is"
      )
    ),
    HttpApiEndpoint.get("explainTask", "/tasks/:id/explain", {
      params: id,
      success: Schema.Struct({ task: Schema.String, why: Schema.String }),
      error: taskUnknown
    }).annotateMerge(described("Why a task is where it is, in a sentence: for whom or what it waits, or how it ended")),
    HttpApiEndpoint.post("replayTask", "/tasks/:id/replay", {
      params: id,
      success: TaskView,
      error: [...taskUnknown, status(TaskNotDead, 409), status(LedgerFull, 503)]
    }).annotateMerge(described("Gives a dead letter a new life: it goes back to the queue")),
    HttpApiEndpoint.post("dropTask", "/tasks/:id/drop", {
      params: id,
      success: TaskView,
      error: [...taskUnknown, status(TaskNotDead, 409)]
    }).annotateMerge(described("A dead letter need not be kept: it counts as cancelled, and is forgotten in its turn")),
    HttpApiEndpoint.get("result", "/tasks/:id/result", {
      params: id,
      success: ResultView,
      error: [...taskUnknown, status(NodeStopping, 503)]
    }).annotateMerge(described("Waits for the end of a task, however it ends"))
  )
  .middleware(Typed)

const agents = HttpApiGroup.make("agents", { topLevel: true })
  .add(
    HttpApiEndpoint.post("stopAgent", "/agents/:id/stop", {
      params: id,
      success: HttpApiSchema.NoContent,
      error: agentErrors
    }).annotateMerge(described("Stops an agent for good, and answers when nothing of it is left")),
    HttpApiEndpoint.post("startAgent", "/agents/:id/start", {
      params: id,
      success: HttpApiSchema.NoContent,
      error: [...agentErrors, status(ChildRunning, 409), status(ChildStartFailed, 502)]
    }).annotateMerge(described("Starts an agent that is down, whatever it went down for")),
    HttpApiEndpoint.post("restartAgent", "/agents/:id/restart", {
      params: id,
      success: HttpApiSchema.NoContent,
      error: [...agentErrors, status(ChildRunning, 409), status(ChildStartFailed, 502)]
    }).annotateMerge(described("Stops an agent and starts it again; its work goes on")),
    HttpApiEndpoint.post("pauseAgent", "/agents/:id/pause", {
      params: id,
      success: HttpApiSchema.NoContent,
      error: [...runningErrors, status(PauseFailed, 500)]
    }).annotateMerge(described("Brings all processes of an agent to a halt, and its time limits with them")),
    HttpApiEndpoint.post("resumeAgent", "/agents/:id/resume", {
      params: id,
      success: HttpApiSchema.NoContent,
      error: [...runningErrors, status(PauseFailed, 500)]
    }).annotateMerge(described("Lets a paused agent go on")),
    HttpApiEndpoint.post("interruptAgent", "/agents/:id/interrupt", {
      params: id,
      success: HttpApiSchema.NoContent,
      error: [status(AgentUnknown, 404), status(AgentNotPerforming, 409), other]
    }).annotateMerge(
      described("Breaks off what an agent does, and answers when it has; its task goes on after a pause, as it was")
    ),
    HttpApiEndpoint.post("setModel", "/agents/:id/model", {
      params: id,
      payload: Schema.Struct({ model: Name }),
      success: HttpApiSchema.NoContent,
      error: runningErrors
    }).annotateMerge(
      described("Gives an agent another model, from its next turn until its next life. Any name is taken")
    ),
    HttpApiEndpoint.post("tellAgent", "/agents/:id/tell", {
      params: id,
      payload: AgentMessage,
      success: Schema.Struct({ heard: Schema.Literals(["turn", "inbox"]) }),
      error: [...runningErrors, status(InboxFull, 503)]
    }).annotateMerge(
      described("Tells an agent something: in the turn that it is in, or, from its inbox, with its next one")
    ),
    HttpApiEndpoint.post("limitAgent", "/agents/:id/limits", {
      params: id,
      payload: LimitsView,
      success: Schema.Array(
        Schema.Struct({
          limit: Schema.String,
          why: Schema.String,
          instead: Schema.Literals(["sampled", "nothing"])
        })
      ),
      error: [...runningErrors, status(LimitUnenforceable, 409)]
    }).annotateMerge(
      described("Changes what an agent may use until its next life; answers with what the kernel does not enforce")
    ),
    HttpApiEndpoint.get("explain", "/agents/:id/explain", {
      params: id,
      success: Schema.Struct({ agent: Schema.String, why: Schema.String }),
      error: [status(AgentUnknown, 404), other]
    }).annotateMerge(described("Why an agent is as it is, in a sentence")),
    HttpApiEndpoint.get("moves", "/agents/:id/moves", {
      params: id,
      success: Schema.Array(Move),
      error: [status(AgentUnknown, 404), other]
    }).annotateMerge(described("What an agent has been of late, first to last, in earlier runs too"))
  )
  .middleware(Typed)

export class Api extends HttpApi.make("mister-smith")
  .add(node)
  .add(tasks)
  .add(agents)
  // A mistake in a task is told whole, and a key that nobody reads is one.
  .annotate(HttpApi.PayloadParseOptions, { errors: "all", onExcessProperty: "error" })
  .annotateMerge(
    OpenApi.annotations({
      title: "MisterSmith",
      version: VERSION,
      description: "A running node, over the Unix socket admin.sock in its data directory"
    })
  ) {}
