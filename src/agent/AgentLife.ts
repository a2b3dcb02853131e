/**
 * One life of an agent, from the start of its CLI to its end: takes jobs one after the other and performs each.
 *
 * A failure that concerns the task only leaves the life as it is; one that concerns the CLI ends it, after the job has
 * been told. A job that needs another output schema than the CLI was started with gets a CLI of its own, because the CLI
 * takes a schema only at its start; so does each job of an agent whose tasks have workspaces of their own, which has no
 * CLI between them.
 */
import {
  Cause,
  Deferred,
  Duration,
  Effect,
  Exit,
  type FileSystem,
  Option,
  type Path,
  Queue,
  Result,
  Scope
} from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import * as ClaudeCommand from "../claude/ClaudeCommand.ts"
import type { ClaudeEvent } from "../claude/ClaudeEvent.ts"
import { type ClaudeFailure, Interrupted, TaskTimedOut, type TurnOk } from "../claude/ClaudeFailure.ts"
import type { ClaudeSession } from "../claude/ClaudeSession.ts"
import { TurnTally } from "../claude/TurnTally.ts"
import type { AgentState } from "../domain/AgentState.ts"
import { mayRetryTask } from "../domain/Fault.ts"
import { addUsage, noUsage, usageSince } from "../domain/Task.ts"
import type { EventBus } from "../event/EventBus.ts"
import { elapsed } from "../process/PausableTimeout.ts"
import type { ProcessTree } from "../process/ProcessTree.ts"
import { Accounts } from "./Account.ts"
import type { Attempt, Job, LifeError, Memory, PerformError, Work } from "./Agent.ts"
import { ModelRefused, SessionMissing } from "./AgentError.ts"
import * as AgentHome from "./AgentHome.ts"
import { AgentHost } from "./AgentHost.ts"
import { open } from "./AgentSession.ts"
import type { AgentSpec } from "./AgentSpec.ts"
import * as Budget from "./Budget.ts"
import { wordsIn } from "./LastWords.ts"
import * as Liveness from "./Liveness.ts"
import { type Conversation, Sessions } from "./Sessions.ts"
import { checkOutput } from "./StructuredOutput.ts"
import { Workspaces } from "./Workspace.ts"
import { fixedOf, type OwnSpec, ownOf } from "./WorkspaceSpec.ts"

export type Needs =
  | Accounts
  | AgentHost
  | Sessions
  | Workspaces
  | EventBus
  | ProcessTree
  | SecureRandom
  | FileSystem.FileSystem
  | Path.Path

export interface LifeInput {
  readonly id: string
  /** As it is now: what needs no new CLI may change. */
  readonly spec: AgentSpec
  readonly jobs: Queue.Dequeue<Job>
  /** Outlives this life. */
  readonly memory: Memory
  readonly move: (to: AgentState, reason: string) => Effect.Effect<void>
}

/** A CLI within a life. */
interface Slot {
  readonly session: ClaudeSession
  readonly liveness: Liveness.Liveness
  readonly scope: Scope.Closeable
  readonly tally: TurnTally
  /** The output schema it was started for, as text. */
  readonly schema: string | undefined
  /** It holds the conversation of a former turn. */
  used: boolean
}

/** What a turn says to a conversation that was cut off. The task itself is in it already. */
const CONTINUE =
  "You were interrupted while you worked on the task above. See what is done already, do not repeat it, and finish the " +
  "task. If it was finished already, give its final answer again."

/** What a turn says that is there for what the agent was told meanwhile. */
const TOLD =
  "While you worked on the task above you were told the following. See to it, and then give your final answer again."

const keyOf = (schema: unknown) => (schema === undefined ? undefined : JSON.stringify(schema))

/**
 * Starts the CLI, which ends with the Scope. Completes when it is ready, with the rest of the life. One whose tasks have
 * workspaces of their own starts its CLIs with them.
 */
export const begun = Effect.fn("AgentLife.begun")(function* (life: LifeInput) {
  const { workspace } = life.spec
  const scope = yield* Effect.scope
  const home = yield* AgentHome.prepare(life.id, fixedOf(workspace))
  const slot = ownOf(workspace) === undefined ? yield* begin(life, home, scope, undefined) : undefined
  yield* life.move("idle", slot === undefined ? "its CLI starts with a task" : "its CLI is ready")
  return live(life, home, scope, slot)
})

/** Runs until the CLI is gone or cannot go on, and fails with the reason. */
const live = Effect.fn("AgentLife.live")(function* (
  life: LifeInput,
  home: AgentHome.AgentHome,
  scope: Scope.Scope,
  first: Slot | undefined
) {
  const { jobs, move, spec } = life
  const own = ownOf(spec.workspace)
  let slot = first
  while (true) {
    const job = yield* next(jobs, slot?.session)
    const outcome = yield* Effect.gen(function* () {
      yield* move("busy", `task ${job.work.task}`)
      if (own !== undefined) return yield* finished(job, yield* elsewhere(life, home, scope, own, job))
      const fits = slot !== undefined && slot.schema === keyOf(job.work.schema)
      if (slot === undefined || !fits || (yield* isElsewhere(life, home, slot, job.work))) {
        if (slot !== undefined) yield* Scope.close(slot.scope, Exit.void)
        slot = yield* begin(life, home, scope, job.work)
      }
      return yield* finished(job, yield* attempt(life, home, slot, job))
    }).pipe(Effect.onError((cause) => settle(job, cause, life.memory.words)))
    if (Result.isFailure(outcome) && concernsCli(outcome.failure)) return yield* outcome.failure
    yield* move("idle", "ready for the next task")
  }
})

const finished = (job: Job, attempt: Attempt) => Effect.as(Deferred.succeed(job.done, attempt), attempt.outcome)

/** One attempt on a CLI that is ready, and what it has cost. */
const attempt = Effect.fnUntraced(function* (life: LifeInput, home: AgentHome.AgentHome, slot: Slot, job: Job) {
  const before = yield* slot.session.spent
  life.memory.words = undefined
  const { inbox } = life.memory
  const ended = yield* Effect.result(Effect.raceFirst(perform(life, home, slot, job.work), cancelled(job))).pipe(
    // Also where its life is ended under it.
    Effect.ensuring(Effect.map(slot.session.unsaid, (texts) => inbox.putBack(texts)))
  )
  const outcome = yield* sparing(life, slot, ended)
  // Before anybody is given the next task.
  yield* tell(life.spec.account, outcome)
  // What is over is not to be gone on with, unless the agent is to keep its one conversation.
  if (life.spec.session === "per_task" && !(Result.isFailure(outcome) && mayRetryTask(outcome.failure))) {
    life.memory.conversation = undefined
  }
  const usage = usageSince(before, yield* slot.session.spent)
  return { outcome, usage, session: yield* slot.session.sessionId, words: life.memory.words }
})

/** What the attempt has learnt about the account, for all who share it. */
const tell = Effect.fnUntraced(function* (account: string | undefined, outcome: Attempt["outcome"]) {
  const accounts = yield* Accounts
  if (Result.isSuccess(outcome)) return yield* accounts.passed(account)
  const { failure } = outcome
  if (failure._tag === "RateLimited")
    yield* accounts.limited(account, { resetsAt: failure.resetsAt, why: failure.detail })
})

/** A model that an operator has chosen and that there is not is no reason to give the agent up: it has its own again. */
const sparing = Effect.fnUntraced(function* (
  { id, memory, spec }: LifeInput,
  { session }: Slot,
  outcome: Result.Result<TurnOk, PerformError>
): Effect.fn.Return<Result.Result<TurnOk, PerformError>, never, AgentHost> {
  const { model } = memory
  if (Result.isSuccess(outcome) || outcome.failure._tag !== "ModelUnavailable" || model === undefined) return outcome
  memory.model = undefined
  const { settings } = yield* AgentHost
  const { detail } = outcome.failure
  return yield* session.setModel(spec.model ?? settings.model).pipe(
    Effect.as(Result.fail(new ModelRefused({ agent: id, model, detail }))),
    // It is gone: that is what matters now.
    Effect.catch((fault) => Effect.succeed(Result.fail(fault)))
  )
})

/** One attempt in the place that the task has for itself, which everything has left when this completes. */
const elsewhere = Effect.fnUntraced(function* (
  life: LifeInput,
  home: AgentHome.AgentHome,
  scope: Scope.Scope,
  own: OwnSpec,
  job: Job
): Effect.fn.Return<Attempt, LifeError, Needs> {
  const workspaces = yield* Workspaces
  const inner = yield* Scope.fork(scope)
  return yield* Effect.gen(function* () {
    const acquired = Scope.provide(workspaces.acquire(job.work.session?.place ?? job.work.task, life.id, own), inner)
    const place = yield* Effect.result(Effect.raceFirst(acquired, cancelled(job)))
    if (Result.isFailure(place)) return { outcome: Result.fail(place.failure), usage: noUsage, session: undefined }
    const there = { ...home, workspace: place.success }
    const slot = yield* begin(life, there, inner, job.work)
    const ended = yield* attempt(life, there, slot, job)
    yield* Scope.close(slot.scope, Exit.void)
    return { ...ended, workspace: yield* workspaces.facts(place.success, own) }
  }).pipe(Effect.onExit((exit) => Scope.close(inner, exit)))
})

/** The next job, or the end of the CLI where there is one. A job that is taken as the CLI ends is not lost with it. */
const next = (jobs: Queue.Dequeue<Job>, session: ClaudeSession | undefined): Effect.Effect<Job, ClaudeFailure> =>
  Effect.suspend(() => {
    let taken: Job | undefined
    const take = Effect.tap(Queue.take(jobs), (job) => Effect.sync(() => (taken = job)))
    return Effect.raceFirst(take, session?.ended ?? Effect.never).pipe(
      Effect.onError((cause) => (taken === undefined ? Effect.void : settle(taken, cause)))
    )
  })

const cancelled = (job: Job) =>
  Effect.flatMap(Deferred.await(job.cancelled), (by) => Effect.fail(new Interrupted({ by })))

/** Tells a job what has ended the life under it. A life that is stopped, perhaps for a sibling's sake, interrupts it. */
const settle = (job: Job, cause: Cause.Cause<LifeError>, words?: string): Effect.Effect<unknown> => {
  if (Cause.hasDies(cause)) return Deferred.failCause(job.done, Cause.die(Cause.squash(cause)))
  const fault = Option.getOrElse(Cause.findErrorOption(cause), () => new Interrupted({ by: "its agent's stop" }))
  return Deferred.succeed(job.done, { outcome: Result.fail(fault), usage: noUsage, session: undefined, words })
}

/** A CLI for this work, which goes on with the remembered conversation where the CLI still has it. */
const begin = Effect.fnUntraced(function* (
  life: LifeInput,
  home: AgentHome.AgentHome,
  scope: Scope.Scope,
  work: Work | undefined
) {
  const { id, memory, spec } = life
  const sessions = yield* Sessions
  const wanted = yield* wantedBy(life, home, work)
  const owned = wanted === undefined || Result.isSuccess(yield* Effect.result(sessions.own(id, wanted.session)))
  const resume = owned ? wanted?.session : undefined
  const inner = yield* Scope.fork(scope)
  const isPaused = () => memory.process?.isPaused() ?? false
  const liveness = yield* Scope.provide(Liveness.make(id, spec.limits.silence, isPaused), inner)
  const tally = new TurnTally()
  const hear = (event: ClaudeEvent) =>
    Effect.suspend(() => {
      tally.hear(event)
      if (memory.performing !== undefined) memory.words = wordsIn(event) ?? memory.words
      return Effect.andThen(liveness.hear(event), note(life, sessions, event))
    })
  const input = { id, spec, home, schema: work?.schema, task: () => memory.performing, hear }
  const anew = Effect.map(open({ ...input, resume: undefined }), (session) => ({ session, resumed: false }))
  const opened =
    resume === undefined
      ? anew
      : Effect.map(open({ ...input, resume }), (session) => ({ session, resumed: true })).pipe(
          Effect.catchTag("SessionNotFound", () => anew)
        )
  const { resumed, session } = yield* Scope.provide(opened, inner)
  memory.process = session.process
  memory.session = session
  // Added last, so it runs first: who is about to be ended is not paused any more.
  yield* Scope.addFinalizer(
    inner,
    Effect.suspend(() => {
      if (memory.process === session.process) memory.process = undefined
      if (memory.session === session) memory.session = undefined
      return Effect.ignore(session.process.resume)
    })
  )
  if (!resumed || wanted?.known !== true) memory.conversation = undefined
  memory.at = resumed ? resume : undefined
  // It was resumed because its prompt is in it.
  memory.told = memory.conversation?.prompt
  if (memory.model !== undefined) yield* session.setModel(memory.model)
  const slot: Slot = { session, liveness, tally, scope: inner, schema: keyOf(work?.schema), used: resumed }
  return slot
})

/** With which conversation a CLI for this work, or for whatever comes, is to begin; `known`: the one that it remembers. */
const wantedBy = Effect.fnUntraced(function* (
  { memory, spec }: LifeInput,
  home: AgentHome.AgentHome,
  work: Work | undefined
) {
  const known = memory.conversation
  const other = work?.session
  const goesOn = known !== undefined && (work === undefined || continues(known, work))
  if (known !== undefined && (goesOn || (spec.session === "keep" && other === undefined))) {
    const session = yield* AgentHome.whereIs(home, known.session, known.prompt)
    if (session !== undefined) return { session, known: true }
  }
  if (other === undefined || !(yield* AgentHome.has(home, other.session))) return undefined
  return { session: other.session, known: false }
})

/** Is the conversation that this work is to go on with there, and not the one that the CLI is in? */
const isElsewhere = Effect.fnUntraced(function* (
  { memory }: LifeInput,
  home: AgentHome.AgentHome,
  slot: Slot,
  work: Work
) {
  const known = memory.conversation
  if (work.session === undefined || (slot.used && known !== undefined && continues(known, work))) return false
  return memory.at !== work.session.session && (yield* AgentHome.has(home, work.session.session))
})

/** The CLI says at the start of each turn in which conversation it is. That is written down before anything else is heard. */
const note = ({ id, memory }: LifeInput, sessions: Sessions["Service"], event: ClaudeEvent) =>
  Effect.suspend(() => {
    const { conversation } = memory
    if (event.kind !== "system/init" || memory.performing === undefined || conversation === undefined)
      return Effect.void
    memory.at = event.session_id
    memory.told = conversation.prompt
    if (conversation.session === event.session_id) return Effect.void
    conversation.session = event.session_id
    return Effect.catch(sessions.remember(id, conversation), (error) => Effect.logWarning(error.message))
  })

const continues = (known: Conversation, work: Work) => known.task === work.task && work.attempt > 1

/** One attempt at a task on a CLI that is ready. */
const perform = Effect.fnUntraced(function* (
  { id, memory, spec }: LifeInput,
  home: AgentHome.AgentHome,
  slot: Slot,
  work: Work
) {
  const random = yield* SecureRandom
  const known = memory.conversation
  // What was broken off before the prompt had got into a turn is told anew.
  const goesOn = slot.used && known !== undefined && memory.told === known.prompt && continues(known, work)
  const follows = !goesOn && work.session !== undefined && memory.at === work.session.session
  const sessions = yield* Sessions
  if (!goesOn && work.session !== undefined && !follows) {
    const { of, onMissing, session } = work.session
    // Where it is there, the reason may be that another agent has it.
    if (yield* AgentHome.has(home, session)) yield* sessions.own(id, session)
    if (onMissing === "fail")
      return yield* new SessionMissing({ task: work.task, of, reason: `agent ${id} does not have it any more` })
  }
  if (slot.used && !goesOn && !follows && spec.session === "per_task") {
    memory.at = undefined
    yield* slot.session.clear
  }
  const uuid = yield* random.uuidV4()
  const at = follows || spec.session === "keep" ? memory.at : undefined
  const conversation: Conversation = goesOn
    ? known
    : { task: work.task, prompt: uuid, session: at, cwd: home.workspace }
  memory.conversation = conversation
  slot.used = true
  const taskTime = Duration.min(spec.limits.taskTime, work.turnLimit ?? Duration.infinity)
  yield* sessions.remember(id, conversation)
  const atFirst = yield* slot.session.spent
  const bounded = <A, E, R>(turn: Effect.Effect<A, E, R>) =>
    Effect.flatMap(slot.session.spent, (now) => {
      const { limit, spent = noUsage } = work.budget ?? {}
      return Budget.within(work.task, limit, slot.tally, addUsage(spent, usageSince(atFirst, now)))(turn)
    })
  const { inbox } = memory
  const turn = (text: string, id: string) =>
    Effect.suspend(() => {
      memory.performing = work.task
      const wantsOutput = work.schema !== undefined
      return slot.session.turn(text, { uuid: id, wantsOutput, messages: inbox.take() })
    }).pipe(
      slot.liveness.during,
      bounded,
      Effect.raceFirst(
        Effect.andThen(
          elapsed(taskTime, slot.session.process.pausedMillis),
          Effect.fail(new TaskTimedOut({ after: taskTime }))
        )
      ),
      Effect.ensuring(
        Effect.map(slot.session.sessionId, (session) => {
          // A CLI that dies at once has not said it; what it was resumed with still holds.
          if (session !== undefined) conversation.session = session
          memory.performing = undefined
        })
      ),
      Effect.flatMap((ok) => checkOutput(ok, work.schema))
    )
  const { environment, settings } = yield* AgentHost
  const place = { workspace: home.workspace, env: ClaudeCommand.environment(environment, home.configDir, settings.env) }
  const more = yield* work.prepare?.(place) ?? Effect.succeed("")
  let ok = yield* turn(goesOn ? CONTINUE : work.prompt + more, uuid)
  // Each turn is judged by what was denied in it; the result names all of them.
  const denied = new Set(ok.denied)
  while (true) {
    inbox.putBack(yield* slot.session.unsaid)
    // What the agent was told while no turn could take it is heard before its task is over.
    const more = inbox.size > 0 ? TOLD : yield* work.followUp?.(ok, place) ?? Effect.succeed(undefined)
    if (more === undefined && inbox.size === 0) return { ...ok, denied: [...denied] }
    ok = yield* turn(more ?? TOLD, yield* random.uuidV4())
    for (const tool of ok.denied) denied.add(tool)
  }
}, Effect.scoped)

/** Does this failure concern the CLI, and not the task only? */
const concernsCli = (fault: PerformError): fault is LifeError =>
  fault.recovery === "restart" || fault.recovery === "escalate"
