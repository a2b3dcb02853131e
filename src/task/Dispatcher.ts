/**
 * A task's whole life, top to bottom: wait for a change, route what is queued, claim, perform, judge, write down.
 *
 * Promises: one attempt at a time for a task; the result in the ledger is what `Agent.perform` returned, never an event;
 * a failure that another attempt may cure parks the task with a due time, any other ends it at once. Who performs is
 * Router.ts, how it is performed is agent/, what is true about a task is TaskLedger.ts.
 */
import { Cause, Clock, Effect, Layer, Result, Stream } from "effect"
import type { Agent, Attempt, PerformError } from "../agent/Agent.ts"
import { AgentDefect } from "../agent/AgentError.ts"
import { AgentPool } from "../agent/AgentPool.ts"
import { type FaultReport, mayRetryTask, report } from "../domain/Fault.ts"
import { addUsage, noUsage, type TaskResult } from "../domain/Task.ts"
import { EventBus } from "../event/EventBus.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import type { RetrySettings } from "./RetrySettings.ts"
import { route } from "./Router.ts"
import { NoTaker } from "./TaskError.ts"
import { TaskLedger, type TaskRecord } from "./TaskLedger.ts"

/** Dispatches as long as its Scope lives; attempts under way are interrupted when it closes. */
export const layer = (retry: RetrySettings) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const ledger = yield* TaskLedger
      const pool = yield* AgentPool
      const bus = yield* EventBus
      const scope = yield* Effect.scope

      /** 1. Route: gives every queued task that someone can take now to that agent. */
      const dispatch = Effect.gen(function* () {
        const queued = yield* ledger.queued
        const again = queued.filter(({ attempt }) => attempt > 0)
        const interrupted = new Set(again.map(({ id }) => id))
        // What was interrupted goes on before anything begins: on the agent that holds its conversation, another task would
        // end it, and the work would be done twice.
        for (const task of again.length === 0 ? queued : [...again, ...queued.filter(({ attempt }) => attempt === 0)]) {
          const agents = yield* pool.snapshot
          // Most tasks of a long queue find everybody busy.
          if (!agents.some(({ gone, state }) => gone || state === "idle")) return
          const answer = route(task, agents, interrupted)
          if (answer._tag === "Wait") continue
          const agent = answer._tag === "Take" ? pool.get(answer.agent) : undefined
          if (agent === undefined) yield* refuse(task)
          else yield* begin(task, agent)
        }
      })

      /** 2. Claim: from here on the attempt's number is the fence. The agent is busy before the next task is routed. */
      const begin = Effect.fnUntraced(function* (task: TaskRecord, agent: Agent) {
        const claimed = yield* ledger.claim(task.id, agent.id)
        yield* agent.reserve(task.id)
        yield* Effect.forkIn(perform(claimed, agent), scope)
      }, Effect.uninterruptible)

      /** 3. Perform, 4. judge, 5. write down. */
      const perform = Effect.fn("Dispatcher.perform")(
        function* (task: TaskRecord, agent: Agent) {
          const { prompt, schema } = task.spec
          const work = { task: task.id, prompt, schema, attempt: task.attempt }
          const { outcome, session, usage } = yield* Effect.catchCauseIf(
            agent.perform(work),
            Cause.hasDies,
            (cause): Effect.Effect<Attempt> => {
              const fault = new AgentDefect({ agent: agent.id, defect: Cause.pretty(cause) })
              return Effect.succeed(lost(fault))
            }
          )
          const now = yield* Clock.currentTimeMillis
          const spent = addUsage(task.usage, usage)
          if (Result.isFailure(outcome) && mayRetryTask(outcome.failure) && task.attempt < retry.attempts) {
            const until = now + RetryPolicy.delayMillis(retry, task.attempt, outcome.failure, now)
            return yield* ledger.park(task.id, task.attempt, { until, fault: report(outcome.failure), usage: spent })
          }
          const common = {
            task: task.id,
            agent: agent.id,
            session,
            attempts: task.attempt,
            usage: spent,
            tookMillis: now - (task.startedAt ?? now)
          }
          if (Result.isFailure(outcome)) {
            return yield* ledger.complete(task.id, task.attempt, failed(common, report(outcome.failure)))
          }
          const { denied, output, text } = outcome.success
          if (denied.length > 0)
            yield* bus.publish({ type: "task.denied", task: task.id, agent: agent.id, tools: denied })
          yield* ledger.complete(task.id, task.attempt, {
            ...common,
            status: "succeeded",
            text,
            output,
            fault: undefined,
            denied
          })
        },
        Effect.catchTag(["AttemptSuperseded", "TaskUnknown"], (error) => Effect.logWarning(error.message))
      )

      /** Nobody who takes such a task is left. */
      const refuse = Effect.fnUntraced(function* (task: TaskRecord) {
        const { attempt } = yield* ledger.claim(task.id, task.agent ?? "nobody")
        const fault = new NoTaker({ task: task.id, type: task.spec.type })
        const common = {
          task: task.id,
          agent: undefined,
          session: undefined,
          attempts: attempt - 1,
          usage: task.usage,
          tookMillis: 0
        }
        yield* ledger.complete(task.id, attempt, failed(common, report(fault)))
      })

      const changes = Stream.merge(yield* ledger.changes, yield* pool.changes)
      yield* Effect.andThen(
        dispatch,
        Stream.runForEach(changes, () => dispatch)
      ).pipe(Effect.forkScoped)
    })
  )

const lost = (fault: PerformError): Attempt => ({ outcome: Result.fail(fault), usage: noUsage, session: undefined })

type Common = Pick<TaskResult, "task" | "agent" | "session" | "attempts" | "usage" | "tookMillis">

const failed = (common: Common, fault: FaultReport): TaskResult => ({
  ...common,
  status: "failed",
  text: "",
  output: undefined,
  fault,
  denied: []
})
