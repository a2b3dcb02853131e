/** How the queue that gives out the tasks of a fleet is waited for. */
import { Duration, Effect, Schema } from "effect"
import { PositiveDurationFromString } from "../domain/Quantity.ts"

/** Within what both must be. What is held is said to be worked on three times in `ackWait`, which servers must get in time. */
export const BOUNDS = {
  grace: { least: Duration.millis(100), most: Duration.minutes(1) },
  ackWait: { least: Duration.seconds(3), most: Duration.hours(1) }
}

export const DispatchSettings = Schema.Struct({
  grace: PositiveDurationFromString.pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("2 seconds" as const))
  ).annotateKey({
    description:
      'For how long an idle node leaves a task that any node may take to the queue that gives out the tasks, from "100 millis" to "1 minute"; then it goes for it. Default "2 seconds"'
  }),
  ackWait: PositiveDurationFromString.pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("30 seconds" as const))
  ).annotateKey({
    description:
      'After how long the servers deliver the message of a task again, of whose node they have heard nothing, from "3 seconds" to "1 hour"; the same for all nodes. Default "30 seconds"'
  })
})
export type DispatchSettings = typeof DispatchSettings.Type
