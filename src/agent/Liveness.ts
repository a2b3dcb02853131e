/**
 * Signs of life of a CLI while it has a turn: every line it prints is one. What is known to be silent is not held
 * against it: a tool that runs (also a subagent), a pause that the CLI has announced, a conversation that is being
 * compacted, and all time in which it has no turn. The rest of its silences is judged by its own rhythm
 * (supervision/FailureDetector.ts). It costs nothing but a look a second; no model is ever asked.
 */
import { Clock, type Duration, Effect } from "effect"
import type { ClaudeEvent } from "../claude/ClaudeEvent.ts"
import { Stalled } from "../claude/ClaudeFailure.ts"
import * as FailureDetector from "../supervision/FailureDetector.ts"

export interface Liveness {
  /** The CLI has printed this. */
  hear(event: ClaudeEvent): Effect.Effect<void>
  /** Fails with `Stalled` when the CLI has said nothing for much longer than it may in the course of this turn. */
  during<A, E, R>(turn: Effect.Effect<A, E, R>): Effect.Effect<A, E | Stalled, R>
}

/** Watches the CLI of one agent until the Scope closes. `silence` is what it may be silent beyond its rhythm. */
export const make = Effect.fnUntraced(function* (
  agent: string,
  silence: Duration.Duration,
  /** Told by whoever can: it is paused, and cannot say anything. */
  isPaused: () => boolean = () => false
) {
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const tools = new Set<string>()
  let turns = 0
  let isCompacting = false
  let silentUntil = 0
  const detector = yield* FailureDetector.make({
    child: agent,
    acceptablePause: silence,
    // A CLI that writes says something many times a second.
    firstEstimate: "1 second",
    minDeviation: "100 millis",
    isExcused: () => turns === 0 || isPaused() || tools.size > 0 || isCompacting || now() < silentUntil
  })

  const note = (event: ClaudeEvent) => {
    isCompacting = event.kind === "system/status" && event.status === "compacting"
    switch (event.kind) {
      case "assistant":
        for (const block of event.message.content) if (block.type === "tool_use") tools.add(block.id)
        break
      case "user":
        if (typeof event.message.content === "string") break
        for (const block of event.message.content) if (block.type === "tool_result") tools.delete(block.tool_use_id)
        break
      case "system/api_retry":
        silentUntil = now() + event.retry_delay_ms
        break
      case "result":
        tools.clear()
        break
    }
  }

  const stalled = Effect.catchTag(detector.stalled, "Stalled", ({ silenceMillis }) =>
    Effect.fail(new Stalled({ silentMillis: silenceMillis, doing: "turn" }))
  )
  const made: Liveness = {
    hear: (event) =>
      Effect.suspend(() => {
        note(event)
        return detector.beat
      }),
    during: (turn) =>
      Effect.suspend(() => {
        tools.clear()
        turns++
        const watched = Effect.andThen(detector.beat, Effect.raceFirst(turn, stalled))
        return Effect.ensuring(
          watched,
          Effect.sync(() => turns--)
        )
      })
  }
  return made
})
