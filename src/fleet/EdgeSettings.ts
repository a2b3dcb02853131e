/** What a person may set about a node that is cut off from its fleet. */
import { Effect, Schema } from "effect"

export const MAX_TASKS = 100_000
export const MAX_EVENTS = 1_000_000

const bounded = (maximum: number, otherwise: number, description: string) =>
  Schema.Int.pipe(
    Schema.check(
      Schema.isBetween({ minimum: 0, maximum }, { message: `expected a whole number from 0 to ${maximum}` })
    ),
    Schema.withDecodingDefaultKey(Effect.succeed(otherwise))
  ).annotateKey({ description: `${description}. Default ${otherwise}` })

export const EdgeSettings = Schema.Struct({
  whenCutOff: Schema.Literals(["noNewWork", "storeAndForward"])
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("noNewWork" as const)))
    .annotateKey({
      description:
        "noNewWork: it finishes what it has, and takes nothing more; storeAndForward: it also accepts tasks and performs them, and the fleet has them when it is back. Default noNewWork"
    }),
  outbox: Schema.Struct({
    tasks: bounded(MAX_TASKS, 10_000, "How many tasks of its own may wait for the fleet; more are refused"),
    events: bounded(
      MAX_EVENTS,
      10_000,
      "How many events may wait for the fleet; of more the oldest go, and it is said how many. 0: none is kept, and none is told late"
    )
  })
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))
    .annotateKey({ description: "What may wait for the fleet, on the disk" })
})
export type EdgeSettings = typeof EdgeSettings.Type
