/**
 * A task's whole life, top to bottom: wait for a change, route what is queued, claim, perform, verify, judge, write
 * down. What an earlier run had under way is queued again first.
 *
 * Promises: one attempt at a time for a task; the result in the ledger is what `Agent.perform` returned, never an event;
 * a task that declares evidence succeeds only where all of it was seen to hold; what is missing goes back to its agent once
 * in an attempt, in the same conversation; a failure that another attempt may cure parks the task with a due time, any
 * other ends it at once, and what it could not cure in all its tries is dead. Who performs is Router.ts and, where it goes on with a conversation, Continuing.ts, how it is performed is agent/, what proves it is Evidence.ts, what is
 * true about a task is TaskLedger.ts.
 */
import { Cause, Clock, Context, Effect, FiberSet, Layer, Result, Semaphore, Stream } from "effect"
import type { Agent, Attempt, Continued, PerformError, WorkPlace } from "../agent/Agent.ts"
import { AgentDefect, type BudgetSpent, type SessionMissing } from "../agent/AgentError.ts"
import { AgentPool } from "../agent/AgentPool.ts"
import * as Budget from "../agent/Budget.ts"
import type { TurnOk } from "../claude/ClaudeFailure.ts"
import { type FaultReport, mayRetryTask, report } from "../domain/Fault.ts"
import { addUsage, noUsage, type TaskResult } from "../domain/Task.ts"
import { EventBus } from "../event/EventBus.ts"
import { inModule } from "../observability/Log.ts"
import { ProcessTree } from "../process/ProcessTree.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import { brokenOff } from "./BrokenOff.ts"
import * as Continuing from "./Continuing.ts"
import * as Evidence from "./Evidence.ts"
import * as Here from "./Here.ts"
import { Inputs } from "./Inputs.ts"
import { Placement } from "./Placement.ts"
import { recover } from "./Recovery.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import type { RetrySettings } from "./RetrySettings.ts"
import { isFree, type Route } from "./Router.ts"
import * as Routing from "./Routing.ts"
import { EvidenceMissing, LedgerUnusable, NoTaker } from "./TaskError.ts"
import { TaskLedger } from "./TaskLedger.ts"
import { begun, type TaskRecord, tries } from "./TaskRecord.ts"
import { retryOf } from "./TaskRetry.ts"
import { turnLimit } from "./Timeouts.ts"

/** What else can be asked of whoever gives out the tasks. */
export class Dispatcher extends Context.Service<
  Dispatcher,
  {
    /** Begins nothing any more; completes when what runs has ended and is written down. What waits, waits for the next run. */
    readonly drain: Effect.Effect<void>
  }
>()("mister-smith/task/Dispatcher") {}

/** Dispatches as long as its Scope lives; attempts under way are interrupted when it closes. */
export const layer = (retry: RetrySettings) =>
  Layer.effect(
    Dispatcher,
    Effect.gen(function* () {
      const ledger = yield* TaskLedger
      const inputs = yield* Inputs
      const pool = yield* AgentPool
      const bus = yield* EventBus
      const attempts = yield* FiberSet.make()
      const dispatching = yield* Semaphore.make(1)
      let draining = false
      const trees = yield* ProcessTree
      const routing = yield* Routing.make
      const written = patiently(bus)
      const placement = yield* Placement
      const snapshot = Effect.map(pool.snapshot, (agents) => Here.own(agents, ledger.here))

      /** 1. Route: gives queued tasks to the agents that can take them now. It never looks through the whole queue. */
      const dispatch = Effect.gen(function* () {
        yield* look
        const agents = draining ? [] : yield* snapshot
        ledger.here?.handing?.want(agents.filter(isFree).map(({ taskTypes }) => taskTypes))
      }).pipe(dispatching.withPermits(1))

      const look = Effect.gen(function* () {
        if (draining) return
        const agents = yield* snapshot
        // Most tasks of a long queue find everybody busy.
        if (!agents.some(({ gone, state }) => gone || state === "idle")) return
        const held = agents.flatMap(({ gone, holds }) => (gone || holds === undefined ? [] : [holds]))
        // What was interrupted goes on before anything begins: on the agent that holds its conversation, another task would
        // end it, and the work would be done twice.
        const again = yield* ledger.interrupted(held)
        const interrupted = new Set(again.map(({ id }) => id))
        for (const task of again) yield* give(task, interrupted)
        yield* handed(interrupted)
        let given = true
        while (given) {
          given = false
          // Who may take the first of a lane may take any of it, so that the first stands for all.
          const passed = [...held, ...(yield* placement.passed)]
          for (const task of yield* ledger.heads(passed))
            given = (yield* give(task, interrupted, new Set(passed))) || given
        }
      })

      /** What the queue of a fleet has handed to this node, and what cannot be begun goes back. */
      const handed = Effect.fnUntraced(function* (interrupted: ReadonlySet<string>) {
        const handing = ledger.here?.handing
        for (const id of handing?.handed() ?? []) {
          const trying = Effect.flatMap(
            Effect.catchTag(ledger.get(id), "TaskUnknown", () => Effect.undefined),
            (task) => (task?.state === "queued" ? give(task, interrupted) : Effect.void)
          )
          // What the ledger does not take now must not stand before all else at the next look.
          yield* Effect.ensuring(
            trying,
            Effect.sync(() => handing?.tried(id))
          )
        }
      })

      /** Has it left the queue, or the way? */
      const give = Effect.fnUntraced(
        function* (task: TaskRecord, interrupted: ReadonlySet<string>, passed: ReadonlySet<string> = new Set()) {
          if (draining) return false
          const agents = yield* snapshot
          const strategy = routing.route(task, agents, interrupted)
          const { fault, route, session } = yield* Continuing.route(task, ledger, agents, strategy)
          const answer = fault === undefined ? Here.among(task, ledger.here, route) : route
          if (answer._tag === "Wait") return false
          const agent = answer._tag === "Take" ? pool.get(answer.agent) : undefined
          const spent = Budget.reached(task.id, task.spec.budget, task.usage)
          if (spent !== undefined) yield* refuse(task, spent)
          else if (agent !== undefined) {
            const offer = { agent: agent.id, agents, only: session !== undefined }
            const may = yield* placement.mayTake(task, offer)
            if (may !== "take") return may === "pass" && !passed.has(task.id)
            yield* placement.taken(yield* begin(task, agent, session), offer)
          } else yield* refuse(task, fault ?? noTaker(task, answer))
          return true
        },
        Effect.catchTag(["AttemptSuperseded", "TaskUnknown"], (error) =>
          // Where several take, that another one was faster is nothing that anybody need know.
          Effect.as(
            inModule("task")(ledger.here?.shared ? Effect.logDebug(error.message) : Effect.logWarning(error.message)),
            true
          )
        )
      )

      /** 2. Claim: from here on the attempt's number is the fence. The agent is busy before the next task is routed. */
      const begin = Effect.fnUntraced(function* (task: TaskRecord, agent: Agent, session?: Continued) {
        const claimed = yield* ledger.claim(task.id, agent.id)
        yield* agent.reserve(task.id)
        yield* routing.given(claimed, agent.id)
        yield* FiberSet.run(attempts, perform(claimed, agent, session))
        return claimed
      }, Effect.uninterruptible)

      /** 3. Perform: an attempt that loses the task, because somebody cancels it, is broken off. */
      const perform = Effect.fn("Dispatcher.perform")((task: TaskRecord, agent: Agent, session?: Continued) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.gen(function* () {
            const { budget, prompt, schema } = task.spec
            const budgeted = budget === undefined ? {} : { budget: { limit: budget, spent: task.usage } }
            const { followUp, judged } = verifying(task, agent)
            const work = {
              task: task.id,
              prompt,
              schema,
              // What was done before it was asked for again is over.
              attempt: begun(task),
              turnLimit: turnLimit(task.spec),
              ...preparing(task),
              ...followUp,
              ...budgeted,
              ...(session === undefined ? {} : { session })
            }
            const attempt = Effect.catchCauseIf(agent.perform(work), Cause.hasDies, (cause): Effect.Effect<Attempt> => {
              const fault = new AgentDefect({ agent: agent.id, defect: Cause.pretty(cause) })
              return Effect.succeed(lost(fault))
            })
            const superseded = Effect.as(ledger.released(task.id, task.attempt), undefined)
            const ended = yield* restore(Effect.raceFirst(attempt, superseded))
            yield* routing.ended(
              agent.id,
              ended === undefined ? "broken off" : Result.isSuccess(ended.outcome) ? "succeeded" : "failed"
            )
            // What has been done is written down, even where all of this is to end.
            if (ended === undefined) return
            crashPoint("settle.before")
            yield* written(settle(task, agent, judged(ended)))
            crashPoint("settle.after")
            yield* agent.settled(task.id)
          })
        )
      )

      /** What its agent is told beside the prompt, when the files that the task comes with are there. */
      const preparing = ({ id, spec: { files = [] } }: TaskRecord) =>
        files.length === 0 ? {} : { prepare: ({ workspace }: WorkPlace) => inputs.lay(id, files, workspace) }

      /** 4. Verify: asked by the agent after each turn of the attempt, while nobody else is given it. */
      const verifying = ({ id, spec: { evidence = [] } }: TaskRecord, agent: Agent) => {
        let missing: ReadonlyArray<Evidence.Missing> = []
        let sentBack = false
        const verify = Effect.fnUntraced(
          function* ({ denied }: TurnOk, place: WorkPlace) {
            crashPoint("verify.before")
            missing = yield* Evidence.verify(evidence, { ...place, denied })
            crashPoint("verify.after")
            if (missing.length === 0) return undefined
            const last = sentBack
            sentBack = true
            const told = missing.map(({ found, proof }) => ({ proof, found }))
            yield* bus.publish({ type: "task.unverified", task: id, agent: agent.id, missing: told, sentBack: !last })
            return last ? undefined : Evidence.followUp(missing)
          },
          Effect.provideService(ProcessTree, trees)
        )
        return {
          followUp: evidence.length === 0 ? {} : { followUp: verify },
          judged: (ended: Attempt): Judged =>
            missing.length > 0 && Result.isSuccess(ended.outcome)
              ? { ...ended, missing, outcome: Result.fail(new EvidenceMissing({ task: id, missing })) }
              : { ...ended, missing }
        }
      }

      /** 5. Judge, 6. write down. */
      const settle = Effect.fnUntraced(
        function* (task: TaskRecord, agent: Agent, { missing, outcome, session, usage, words, workspace }: Judged) {
          const now = yield* Clock.currentTimeMillis
          const spent = addUsage(task.usage, usage)
          const remains = { words, missing }
          const policy = retryOf(retry, task.spec)
          if (Result.isFailure(outcome) && brokenOff(outcome.failure)) {
            const until = now + RetryPolicy.delayMillis(policy, task.interruptions + 1, outcome.failure, now)
            const fault = report(outcome.failure)
            return yield* ledger.park(task.id, task.attempt, {
              until,
              fault,
              usage: spent,
              interrupted: true,
              ...remains
            })
          }
          if (Result.isFailure(outcome) && mayRetryTask(outcome.failure) && tries(task) < policy.attempts) {
            const until = now + RetryPolicy.delayMillis(policy, tries(task), outcome.failure, now)
            return yield* ledger.park(task.id, task.attempt, {
              until,
              fault: report(outcome.failure),
              usage: spent,
              ...remains
            })
          }
          const common = {
            task: task.id,
            agent: agent.id,
            session,
            attempts: begun(task),
            usage: spent,
            tookMillis: now - (task.startedAt ?? now),
            ...(workspace === undefined ? {} : { workspace })
          }
          if (Result.isFailure(outcome)) {
            const end = mayRetryTask(outcome.failure) ? ledger.giveUp : ledger.complete
            return yield* end(task.id, task.attempt, failed(common, report(outcome.failure)), remains)
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
        Effect.catchTag(["AttemptSuperseded", "TaskUnknown"], (error) =>
          inModule("task")(Effect.logWarning(error.message))
        )
      )

      /** Nobody who takes such a task is left, or nothing of its budget, or not the conversation it goes on with. */
      const refuse = Effect.fnUntraced(function* (task: TaskRecord, fault: NoTaker | BudgetSpent | SessionMissing) {
        const claimed = yield* ledger.claim(task.id, task.agent ?? "nobody")
        const common = {
          task: task.id,
          agent: undefined,
          session: undefined,
          attempts: begun(task),
          usage: task.usage,
          tookMillis: 0
        }
        yield* ledger.complete(task.id, claimed.attempt, failed(common, report(fault)))
      })

      const here = Stream.merge(yield* ledger.changes, yield* pool.changes)
      const others = ledger.here?.others
      const changes =
        others === undefined ? here : Stream.merge(here, Stream.merge(yield* placement.changes, yield* others.changes))
      yield* recover()
      // What is wrong with one look must not be the last: with the next change it is looked again.
      const looking = Effect.catchDefect(written(dispatch), (defect) =>
        inModule("task")(Effect.logError("what waits could not be given out", defect))
      )
      yield* Effect.andThen(
        looking,
        Stream.runForEach(changes, () => looking)
      ).pipe(Effect.forkScoped)
      return Dispatcher.of({
        drain: Effect.suspend(() => {
          draining = true
          // What is just being begun is among the attempts when the dispatch is through.
          const through = Effect.sync(() => ledger.here?.handing?.want([])).pipe(dispatching.withPermits(1))
          return Effect.andThen(through, FiberSet.awaitEmpty(attempts))
        })
      })
    })
  )

/** Before a ledger that could not be written is asked again. */
const AGAIN = "5 seconds"

/**
 * A ledger that cannot be written, because the disk is full, is asked again until it can: what is to be written is not
 * lost. A person is told once.
 */
const patiently =
  (bus: EventBus["Service"]) =>
  <A, E, R>(write: Effect.Effect<A, E | LedgerUnusable, R>): Effect.Effect<A, Exclude<E, LedgerUnusable>, R> => {
    const again = (told: boolean): Effect.Effect<A, Exclude<E, LedgerUnusable>, R> =>
      Effect.catch(write, (error) => {
        if (!(error instanceof LedgerUnusable)) return Effect.fail(error as Exclude<E, LedgerUnusable>)
        const { hint, message } = error
        const tell = bus.publish({ type: "operator.notified", supervisor: "tasks", child: "ledger", message, hint })
        return (told ? Effect.void : tell).pipe(
          Effect.andThen(Effect.interruptible(Effect.sleep(AGAIN))),
          Effect.andThen(again(true))
        )
      })
    return again(false)
  }

/** An attempt as the runtime sees it, whatever its agent says. */
interface Judged extends Omit<Attempt, "outcome"> {
  readonly outcome: Result.Result<TurnOk, PerformError | EvidenceMissing>
  /** When it was last looked at. */
  readonly missing: ReadonlyArray<Evidence.Missing>
}

const lost = (fault: PerformError): Attempt => ({ outcome: Result.fail(fault), usage: noUsage, session: undefined })

/** What those lack who would take it else. */
const noTaker = ({ id, spec }: TaskRecord, answer: Route) => {
  const lacking = answer._tag === "Nobody" && answer.missing !== undefined ? { missing: answer.missing } : {}
  const named = {
    ...(spec.agent === undefined ? {} : { agent: spec.agent }),
    ...(spec.node === undefined ? {} : { node: spec.node })
  }
  return new NoTaker({ task: id, type: spec.type, ...named, ...lacking })
}

type Common = Pick<TaskResult, "task" | "agent" | "session" | "attempts" | "usage" | "tookMillis" | "workspace">

const failed = (common: Common, fault: FaultReport): TaskResult => ({
  ...common,
  status: "failed",
  text: "",
  output: undefined,
  fault,
  denied: []
})
