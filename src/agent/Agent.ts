/**
 * One agent: performs one task at a time on a CLI that it owns, through as many lives as its supervisor gives it.
 *
 * Promises: `perform` answers with how the attempt ended, whatever ends it; a task whose CLI died, or the runtime, is
 * finished on the resumed conversation where the CLI still has it, and anew where not; every state move is legal
 * (domain/AgentState.ts) and reported. When to restart is left to supervision/, what to do about a failed task to task/.
 */
import { Cause, Deferred, Duration, Effect, Exit, Option, Queue, Result, Scope } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import type { ClaudeFailure } from "../claude/ClaudeFailure.ts"
import type { ClaudeSession } from "../claude/ClaudeSession.ts"
import type { AgentState } from "../domain/AgentState.ts"
import { noUsage } from "../domain/Task.ts"
import type { EventBus } from "../event/EventBus.ts"
import type { LimitUnenforceable, PauseFailed } from "../process/ProcessError.ts"
import type { ProcessLimits, Unenforced } from "../process/ProcessLimits.ts"
import type { TreeUsage } from "../process/Usage.ts"
import type { Child } from "../supervision/Child.ts"
import * as RestartPolicy from "../supervision/RestartPolicy.ts"
import { Accounts, type Limit } from "./Account.ts"
import { AgentGone, AgentNotPerforming, AgentNotRunning, InboxFull } from "./AgentError.ts"
import { AgentHost } from "./AgentHost.ts"
import * as AgentLife from "./AgentLife.ts"
import type { AgentSpec } from "./AgentSpec.ts"
import * as AgentStanding from "./AgentStanding.ts"
import { framed, Inbox } from "./Inbox.ts"
import type { Moves } from "./Moves.ts"
import { type Conversation, Sessions } from "./Sessions.ts"
import type { Attempt, Job, LifeError, PerformError, Work } from "./Work.ts"

/** How long a CLI that is to end may take before its process is told: an interrupt, end_session, and some room. */
const ASKED = Duration.seconds(7)

export type { Attempt, Continued, Job, LifeError, PerformError, Work, WorkPlace } from "./Work.ts"

/** What an agent is made after. A reload gives it another. */
export interface Generation {
  readonly spec: AgentSpec
  readonly host: AgentHost["Service"]
}

export interface Agent {
  readonly id: string
  /** As it is now. */
  readonly spec: AgentSpec
  readonly generation: () => Generation
  /** Other settings for the life that it has: what needs a new CLI holds from the next on. */
  become(next: Generation): void
  /** Is given no task while this is so, because it is about to change or to go. */
  withhold(leaving: boolean): void
  readonly leaving: () => boolean
  readonly isFree: () => boolean
  /** Completes when it performs nothing. */
  readonly free: Effect.Effect<void>
  readonly state: () => AgentState
  /** Its supervisor will not restart it. One that has ended only because its siblings begin anew is not gone. */
  readonly gone: () => boolean
  /** The task whose conversation it still holds. */
  readonly holds: () => string | undefined
  /** The conversation that it is busy with, as the CLI calls it, where it has said so. */
  readonly session: () => string | undefined
  /** What its account waits for. */
  readonly limited: () => Limit | undefined
  /** Dollars that its attempts have cost in this run, by the CLI's own estimate. */
  readonly spent: () => number
  /** How this task has ended is written down: unless the agent is to go on with it, its conversation need not be kept. */
  settled(task: string): Effect.Effect<void>
  /** idle → busy, before `perform`: nobody else gives it a task meanwhile. */
  reserve(task: string): Effect.Effect<void>
  /** One attempt. Interrupting it interrupts the turn. On an agent that is between two lives it waits for the next. */
  perform(work: Work): Effect.Effect<Attempt>
  /**
   * What its supervisor starts and restarts, as of a generation, which it becomes when it is started. Its lives begin side by
   * side: the start only admits it, the CLI follows. `proving`: its first life is ready when its CLI is, so that a start
   * that fails is told to who has asked for it, and is nobody else's concern.
   */
  childOf(generation: Generation, proving: boolean): Child<LifeError>
  /** Its supervisor will not restart it: who waits for it is told. */
  terminated(reason: string): Effect.Effect<void>
  /** Brings its CLI and all it has started to a halt, in mid-turn too; it is given no task. No time-out runs meanwhile. */
  readonly pause: Effect.Effect<void, AgentNotRunning | PauseFailed>
  readonly resume: Effect.Effect<void, AgentNotRunning | PauseFailed>
  /**
   * Breaks off the attempt under way, which ends as `Interrupted`: its conversation is kept, and what becomes of the task is
   * task/'s business. Completes when it has ended.
   */
  readonly interrupt: Effect.Effect<void, AgentNotPerforming>
  /** From its next turn on, until it is changed or its life ends. */
  setModel(model: string): Effect.Effect<void, AgentNotRunning | ClaudeFailure>
  /** The model it has been given, or is set to. Undefined: the CLI's own. */
  readonly model: () => string | undefined
  /** In the turn that it is in (`turn`), or, where it is in none that could take it, with its next one (`inbox`). */
  tell(text: string): Effect.Effect<Heard, AgentNotRunning | InboxFull>
  /** Of the CLI that runs now. */
  limit(limits: ProcessLimits): Effect.Effect<ReadonlyArray<Unenforced>, AgentNotRunning | LimitUnenforceable>
  usage(): TreeUsage | undefined
  /** An operator keeps it down: what only it takes waits for it. */
  keptDown(reason: string): Effect.Effect<void>
}

/** When an agent hears what it is told. */
export type Heard = "turn" | "inbox"

/** Outlives a life. */
export interface Memory {
  conversation: Conversation | undefined
  /** The task whose turn is open. */
  performing: string | undefined
  /** The last that was said in the attempt under way. */
  words?: string | undefined
  /** The conversation that its CLI is in, as far as that is known. */
  at: string | undefined
  /** The prompt that has got into it: only what was told can be gone on with. */
  told: string | undefined
  /** The CLI of this life. */
  process: ClaudeSession["process"] | undefined
  session?: ClaudeSession | undefined
  /** The model that an operator has chosen for this life. */
  model?: string | undefined
  readonly inbox: Inbox
}

export const make = Effect.fn("Agent.make")(function* (
  spec: AgentSpec,
  id: string,
  /** Told of every move, so that who waits for an idle agent can look again. */
  changed: Effect.Effect<unknown>
): Effect.fn.Return<Agent, never, EventBus | Moves | AgentLife.Needs | Scope.Scope> {
  let current: Generation = { spec, host: yield* AgentHost }
  let leaving = false
  let performing = 0
  const waiting = new Set<Deferred.Deferred<void>>()
  const needs = yield* Effect.context<AgentLife.Needs>()
  const jobs = yield* Effect.acquireRelease(Queue.bounded<Job>(1), Queue.shutdown)
  const sessions = yield* Sessions
  const conversation = sessions.recall(id)
  const random = yield* SecureRandom
  const memory: Memory = {
    conversation,
    performing: undefined,
    at: undefined,
    told: undefined,
    process: undefined,
    inbox: new Inbox()
  }
  /** What it performs, from the moment that it is asked to. */
  let working: Job | undefined
  let lives = 0
  let costUsd = 0
  let gone = false
  const accounts = yield* Accounts
  const limited = () => accounts.limitOf(current.spec.account)
  // So that it is known before there is a CLI.
  limited()
  const standing = yield* AgentStanding.make(id, limited, changed)
  const { move, state } = standing

  /** Completes when its CLI is ready, with the rest of this life. */
  const begin = Effect.gen(function* () {
    gone = false
    memory.model = undefined
    if (lives++ > 0) yield* move("restarting", "its supervisor restarts it")
    yield* move("initializing", "its CLI starts")
    const life = {
      id,
      get spec() {
        return current.spec
      },
      jobs,
      memory,
      move
    }
    return yield* AgentLife.begun(life)
  })

  const running = Effect.suspend(() =>
    memory.process === undefined
      ? Effect.fail(new AgentNotRunning({ agent: id, state: state() }))
      : Effect.succeed(memory.process)
  )
  const pause = Effect.flatMap(running, ({ pause }) => standing.pause(pause))
  const resume = Effect.flatMap(running, ({ resume }) => standing.resume(resume))

  const interrupt = Effect.gen(function* () {
    const job = working
    if (job === undefined || state() !== "busy") return yield* new AgentNotPerforming({ agent: id, state: state() })
    yield* Deferred.succeed(job.cancelled, "an operator")
    yield* Effect.exit(Deferred.await(job.done))
  })
  const setModel = Effect.fnUntraced(function* (model: string) {
    if (state() !== "idle" && state() !== "busy") return yield* new AgentNotRunning({ agent: id, state: state() })
    // One whose tasks have workspaces of their own has no CLI between them: the next begins so.
    yield* memory.session?.setModel(model) ?? Effect.void
    memory.model = model
  })
  const tell = Effect.fnUntraced(function* (text: string) {
    if (state() === "terminated") return yield* new AgentNotRunning({ agent: id, state: state() })
    const uuid = yield* random.uuidV4()
    // What came before it goes before it.
    const heard = memory.inbox.size === 0 && (yield* memory.session?.say(framed(text), uuid) ?? Effect.succeed(false))
    if (heard) return "turn" as const
    if (!memory.inbox.add(framed(text))) return yield* new InboxFull({ agent: id, waiting: memory.inbox.size })
    return "inbox" as const
  })

  const ended = Effect.fnUntraced(function* (reason: string) {
    yield* move("terminated", reason)
    for (const job of yield* Queue.clear(jobs)) {
      yield* Deferred.succeed(job.done, refused(new AgentGone({ agent: id, reason })))
    }
  })

  const performed = () => {
    working = undefined
    performing--
    if (performing > 0) return
    for (const free of waiting) Deferred.doneUnsafe(free, Exit.void)
  }
  const told = (exit: Exit.Exit<never, LifeError>) => {
    if (Exit.isSuccess(exit)) return move("error", "its life ended")
    return Cause.hasInterruptsOnly(exit.cause) ? move("stopping", "it is stopped") : move("error", sentence(exit))
  }

  return {
    id,
    get spec() {
      return current.spec
    },
    generation: () => current,
    become: (next) => {
      current = next
    },
    withhold: (now) => {
      leaving = now
    },
    leaving: () => leaving,
    isFree: () => performing === 0,
    free: Effect.suspend(() => {
      if (performing === 0) return Effect.void
      const free = Deferred.makeUnsafe<void>()
      waiting.add(free)
      return Effect.ensuring(
        Deferred.await(free),
        Effect.sync(() => waiting.delete(free))
      )
    }),
    state,
    gone: () => gone,
    holds: () => memory.conversation?.task,
    session: () => (performing > 0 ? memory.at : undefined),
    limited,
    spent: () => costUsd,
    terminated: (reason) =>
      Effect.suspend(() => {
        gone = true
        // Who waits for an agent that was stopped first has not been told yet.
        return state() === "terminated" ? Effect.andThen(ended(reason), changed) : ended(reason)
      }),
    pause,
    resume,
    interrupt,
    setModel,
    model: () => memory.model ?? current.spec.model ?? current.host.settings.model,
    tell,
    limit: (limits) => Effect.flatMap(running, (process) => process.limit(limits)),
    usage: () => memory.process?.usage(),
    keptDown: (reason) =>
      Effect.suspend(() => {
        gone = false
        return Effect.andThen(ended(reason), changed)
      }),
    settled: (task) =>
      Effect.suspend(() => (memory.conversation?.task === task ? Effect.void : sessions.forget(id, task))),
    reserve: (task) =>
      Effect.suspend(() => {
        performing++
        return move("busy", `task ${task}`)
      }),
    perform: Effect.fn("Agent.perform")(
      function* (work) {
        const job: Job = { work, done: yield* Deferred.make<Attempt>(), cancelled: yield* Deferred.make<string>() }
        working = job
        if (state() === "terminated") return refused(new AgentGone({ agent: id, reason: "it has ended" }))
        yield* Queue.offer(jobs, job)
        const attempt = Effect.tap(Deferred.await(job.done), ({ usage }) =>
          Effect.sync(() => {
            costUsd += usage.costUsd
          })
        )
        return yield* attempt.pipe(
          Effect.onInterrupt(() =>
            Effect.andThen(
              Deferred.succeed(job.cancelled, "cancel"),
              // The turn's own interruption is bounded; this bound is for a life that never took the job.
              Effect.timeoutOption(Effect.interruptible(Effect.exit(attempt)), "3 seconds")
            )
          )
        )
      },
      Effect.ensuring(Effect.sync(performed))
    ),
    childOf: (generation, proving) => ({
      id,
      ...RestartPolicy.toChild(generation.spec.restart),
      standby: generation.spec.standby,
      // Interrupting a turn, end_session, the rungs of the tree's end, those of a follow-up's own: each is bounded, and so is
      // their sum.
      shutdown: Duration.sum(ASKED, Duration.times(generation.host.settings.stopTime, 2)),
      start: Effect.gen(function* () {
        const scope = yield* Effect.scope
        // Added first, so it runs last: when the CLI and all it had started are gone.
        yield* Scope.addFinalizer(
          scope,
          Effect.suspend(() => (state() === "stopping" ? ended("it was stopped") : Effect.void))
        )
        current = generation
        const within = <A, E>(life: Effect.Effect<A, E, AgentLife.Needs | Scope.Scope>) =>
          life.pipe(
            // Inside the context, which holds the Scope of the Layer too.
            Scope.provide(scope),
            Effect.provideService(AgentHost, generation.host),
            Effect.provideContext(needs)
          )
        if (!proving) return within(Effect.flatten(begin)).pipe(Effect.onExit(told))
        const rest = yield* within(begin).pipe(Effect.onError((cause) => told(Exit.failCause(cause))))
        proving = false
        return within(rest).pipe(Effect.onExit(told))
      })
    })
  }
})

const refused = (fault: PerformError): Attempt => ({ outcome: Result.fail(fault), usage: noUsage, session: undefined })

/** Why a life ended, as a sentence. A defect is told by its own message. */
const sentence = (exit: Exit.Failure<never, LifeError>): string =>
  Option.match(Exit.findErrorOption(exit), {
    onSome: ({ message }) => message,
    onNone: () => `a defect: ${Cause.pretty(exit.cause).split("\n")[0]}`
  })
