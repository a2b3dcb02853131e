/**
 * A task that goes on with the conversation of another: whose, where it is, and who can take it. The conversation lies with
 * the agent that ended the other task, so that only this one can; as long as that agent can come up it is waited for. It is
 * gone on with, not copied: what is said there stands in it for whoever goes on with it next.
 */
import { Effect, Schema } from "effect"
import type { Continued } from "../agent/Agent.ts"
import { SessionMissing } from "../agent/AgentError.ts"
import type { AgentSnapshot } from "../agent/AgentPool.ts"
import { TaskId } from "../domain/Ids.ts"
import { isHere } from "./Here.ts"
import type { Route } from "./Router.ts"
import * as Router from "./Router.ts"
import type { LedgerUnusable } from "./TaskError.ts"
import type { TaskLedger } from "./TaskLedger.ts"
import type { TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"

export const SessionSpec = Schema.Union([
  TaskId,
  Schema.Struct({
    of: TaskId,
    onMissing: Schema.optionalKey(Schema.Literals(["fail", "anew"])).annotateKey({
      description:
        'Where that conversation is not there any more: "fail", or begin "anew" with any agent. Default "fail"'
    })
  })
])

/** With whose conversation a task goes on. */
export const sourceOf = ({ session }: Pick<TaskSpec, "session">) =>
  session === undefined
    ? undefined
    : typeof session === "string"
      ? { of: session, onMissing: "fail" as const }
      : { of: session.of, onMissing: session.onMissing ?? ("fail" as const) }

/** Is this task named only as one with whose conversation it goes on where that is there? */
export const mayMiss = (spec: Pick<TaskSpec, "after" | "session">, on: string): boolean => {
  const source = sourceOf(spec)
  const awaited = (spec.after ?? []).some((edge) => (typeof edge === "string" ? edge : edge.task) === on)
  return source?.of === on && source.onMissing === "anew" && !awaited
}

/**
 * For the queue: who may take one of these may take all of them. An agent, and after a blank the task with whose
 * conversation it goes on, so that whoever waits for a conversation keeps nobody else waiting; and the node that must do it.
 */
export const wantedOf = (spec: Pick<TaskSpec, "agent" | "node" | "session">): string => {
  const { agent = "", node } = spec
  const source = sourceOf(spec)
  if (node !== undefined) return `${agent} ${source?.of ?? ""} ${node}`
  return source === undefined ? agent : `${agent} ${source.of}`
}

/** Who takes it, with which conversation; and why nobody does, where it is for want of that. */
export interface Answer {
  readonly route: Route
  readonly session?: Continued
  readonly fault?: SessionMissing
}

/** Of so many tasks that go on with one another the first is looked for. */
const MAX_CHAIN = 1_000

/** With which task the conversation began, as far as that is known. */
const beginningOf = Effect.fnUntraced(function* (task: TaskRecord, ledger: Pick<TaskLedger["Service"], "get">) {
  let first = task
  for (let length = 0; length < MAX_CHAIN; length++) {
    const source = sourceOf(first.spec)
    if (source === undefined) break
    const before = yield* Effect.catchTag(ledger.get(source.of), "TaskUnknown", () => Effect.succeed(undefined))
    // One that began anew has a conversation of its own.
    if (before?.result?.session !== first.result?.session) break
    first = before as TaskRecord
  }
  return first.id
})

/** As `otherwise` says, except where a conversation is to be gone on with. */
export const route = Effect.fnUntraced(function* (
  task: TaskRecord,
  ledger: Pick<TaskLedger["Service"], "get" | "here">,
  agents: ReadonlyArray<AgentSnapshot>,
  otherwise: Effect.Effect<Route>
): Effect.fn.Return<Answer, LedgerUnusable> {
  const source = sourceOf(task.spec)
  if (source === undefined) return { route: yield* otherwise }
  const { of, onMissing } = source
  const missing = (reason: string): Effect.Effect<Answer> =>
    onMissing === "anew"
      ? Effect.map(otherwise, (route) => ({ route }))
      : Effect.succeed({ route: { _tag: "Nobody" }, fault: new SessionMissing({ task: task.id, of, reason }) })
  const other = yield* Effect.catchTag(ledger.get(of), "TaskUnknown", () => Effect.succeed(undefined))
  if (other === undefined) return yield* missing("that task was forgotten")
  // It was asked for once more.
  if (other.result === undefined) return { route: { _tag: "Wait" } }
  // The conversation lies on another node, whose business this is as long as it lives.
  if (other.node !== undefined && !isHere(other.node, ledger.here))
    return ledger.here?.others?.lives(other.node) === false
      ? yield* missing(`node ${other.node}, which has it, is dead`)
      : { route: { _tag: "Wait" } }
  const { agent, session } = other.result
  if (agent === undefined || session === undefined) return yield* missing("it has ended without one")
  const holder = agents.find(({ id }) => id === agent)
  if (holder === undefined) return yield* missing(`agent ${agent}, who has it, is not there any more`)
  if (Router.ableFor(task, [holder])._tag === "Nobody")
    return yield* missing(`agent ${agent}, who has it, ${holder.gone ? "has ended" : "does not take this task"}`)
  if (holder.state !== "idle") return { route: { _tag: "Wait" } }
  return {
    route: { _tag: "Take", agent },
    session: { of, session, onMissing, place: yield* beginningOf(other, ledger) }
  }
})
