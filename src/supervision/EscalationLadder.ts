/**
 * What a supervisor tries, rung by rung, when its restarts are used up, before it gives up. The restarts by its own
 * strategy are the ground the ladder stands on; a supervisor without a ladder gives up at once. After `resetAfter`
 * without a restart it stands on the ground again.
 */
import { type Duration, Effect, Schema } from "effect"
import { DurationFromString } from "../domain/Quantity.ts"
import { wholeNumber } from "../domain/Setting.ts"
import type { SupervisorGaveUp } from "./SupervisionError.ts"

export type Rung =
  /** All children are restarted, and from now on at each failure, so many times. Skipped when no restart can help. */
  | { readonly do: "restart_group"; readonly maxRestarts: number; readonly within: Duration.Input }
  /** Tells a person, and goes on to the next rung at once. Whatever becomes of the telling changes nothing. */
  | { readonly do: "notify"; readonly notify: (error: SupervisorGaveUp) => Effect.Effect<void> }
  /** The child that failed stays down, and the standby with this id is started in its place. */
  | { readonly do: "start_standby"; readonly child: string }
  /** Gives up, and so does every supervisor above, with this code for whoever ends the process. Default 75. */
  | { readonly do: "stop_node"; readonly exitCode?: number }

export interface EscalationLadder {
  readonly rungs: ReadonlyArray<Rung>
  /** default 5 minutes */
  readonly resetAfter?: Duration.Input
}

/** "Temporary failure": a code that a service manager can be told to restart on, and that nothing else here uses. */
export const EXIT_CODE = 75

/** The ladder as a person writes it; whoever wires it adds how an operator is told. */
export const EscalationStep = Schema.Union([
  Schema.Struct({
    do: Schema.Literal("restart_group"),
    maxRestarts: Schema.Int.pipe(
      Schema.check(Schema.isGreaterThanOrEqualTo(1, { message: "expected a whole number of 1 or more" })),
      Schema.withDecodingDefaultKey(Effect.succeed(3))
    ),
    within: DurationFromString.pipe(Schema.withDecodingDefaultKey(Effect.succeed("5 minutes")))
  }),
  Schema.Struct({
    do: Schema.Literal("notify"),
    /** run with the event as JSON on its standard input; without one the event is all */
    command: Schema.optionalKey(Schema.NonEmptyArray(Schema.NonEmptyString))
  }),
  Schema.Struct({ do: Schema.Literal("start_standby"), child: Schema.NonEmptyString }),
  Schema.Struct({
    do: Schema.Literal("stop_node"),
    exitCode: wholeNumber(1, 255).pipe(Schema.withDecodingDefaultKey(Effect.succeed(EXIT_CODE)))
  })
])
export type EscalationStep = typeof EscalationStep.Type

/** The rungs for these steps; `notify` is given the command of the step, if it has one. */
export const rungsOf = (
  steps: ReadonlyArray<EscalationStep>,
  notify: (error: SupervisorGaveUp, command: ReadonlyArray<string> | undefined) => Effect.Effect<void>
): ReadonlyArray<Rung> =>
  steps.map((step) =>
    step.do === "notify" ? { do: step.do, notify: (error: SupervisorGaveUp) => notify(error, step.command) } : step
  )
