/**
 * In which state an agent is, and how it moves: only as domain/AgentState.ts allows, each time with its reason, noted and
 * told. One that is paused is still something underneath; one whose account must wait is ready, and may not begin.
 */
import { Effect, type Scope } from "effect"
import { type AgentState, canMove } from "../domain/AgentState.ts"
import { EventBus } from "../event/EventBus.ts"
import { inModule } from "../observability/Log.ts"
import { Accounts, type Limit } from "./Account.ts"
import { AgentNotRunning } from "./AgentError.ts"
import { Moves } from "./Moves.ts"

export interface AgentStanding {
  readonly state: () => AgentState
  /** One that is not legal is refused, and said in the log. */
  readonly move: (to: AgentState, reason: string) => Effect.Effect<void>
  /** With what brings its CLI to a halt. Does nothing where it is paused. */
  pause<E>(halt: Effect.Effect<void, E>): Effect.Effect<void, E | AgentNotRunning>
  /** With what lets its CLI go on. Does nothing where it is not paused. */
  resume<E>(goOn: Effect.Effect<void, E>): Effect.Effect<void, E>
}

export const make = Effect.fnUntraced(function* (
  id: string,
  /** What its account waits for. */
  limited: () => Limit | undefined,
  /** Told of every move, so that who waits for an idle agent can look again. */
  changed: Effect.Effect<unknown>
): Effect.fn.Return<AgentStanding, never, Accounts | EventBus | Moves | Scope.Scope> {
  const bus = yield* EventBus
  const moves = yield* Moves
  const accounts = yield* Accounts
  let state: AgentState = "initializing"
  /** While it is paused: what it is underneath, and will be again. */
  let underneath: AgentState | undefined

  /** Who is ready, but may not begin: its account must wait. */
  const orThrottled = (to: AgentState, reason: string): readonly [AgentState, string] => {
    const limit = to === "idle" ? limited() : undefined
    return limit === undefined
      ? [to, reason]
      : ["throttled", `its account ${limit.account} waits until ${new Date(limit.until).toISOString()}`]
  }

  const move = Effect.fnUntraced(function* (wanted: AgentState, why: string) {
    const [to, reason] = orThrottled(wanted, why)
    if (underneath !== undefined) {
      if (to === "idle" || to === "busy" || to === "throttled") {
        underneath = to === "throttled" ? "idle" : to
        return
      }
      // Its CLI has ended under it, or is about to be ended.
      if (to !== "paused") underneath = undefined
    }
    if (state === to) return
    const from = state
    if (!canMove(from, to)) {
      return yield* inModule("agent")(
        Effect.logWarning(`agent ${id}: refused the move from ${from} to ${to} (${reason})`)
      )
    }
    state = to
    yield* moves.note(id, { from, to, reason })
    yield* bus.publish({ type: "agent.state", agent: id, from, to, reason })
    yield* changed
  })

  // What begins or ends for its account meets it where it stands; who is busy learns of it afterwards.
  yield* accounts.review(
    Effect.suspend(() => {
      if (state === "throttled") return move("idle", "its account may be used again")
      return state === "idle" ? move("idle", "ready for the next task") : Effect.void
    })
  )

  return {
    state: () => state,
    move,
    pause: (halt) =>
      Effect.gen(function* () {
        if (underneath !== undefined) return
        if (state !== "idle" && state !== "busy" && state !== "throttled")
          return yield* new AgentNotRunning({ agent: id, state })
        const before = state
        yield* halt
        underneath = before === "throttled" ? "idle" : before
        yield* move("paused", "an operator has paused it")
      }),
    resume: (goOn) =>
      Effect.gen(function* () {
        const after = underneath
        if (after === undefined) return
        yield* goOn
        underneath = undefined
        yield* move(after, "an operator lets it go on")
      })
  }
})
