/** `drain`: the node begins no more work, finishes what runs, and ends. Waits for that end; interrupting it changes nothing. */
import { Effect, Stream } from "effect"
import { jsonLine, out } from "./Printing.ts"
import { type Where, withNode } from "./Where.ts"
import { harmless } from "./Words.ts"

export const drain = Effect.fn("cli.drain")(function* ({
  json,
  where
}: {
  readonly json: boolean
  readonly where: Where
}) {
  yield* withNode(
    where,
    Effect.fnUntraced(function* (node) {
      // Listens before it tells, because the node may end at once.
      const events = yield* node.events({ follow: true })
      const { running } = yield* node.ask((client) => client.drain())
      yield* json
        ? jsonLine({ draining: true, running })
        : out(
            running.length === 0
              ? "nothing runs; the node ends"
              : harmless(`the node ends when this is done: ${running.join(", ")}`)
          )
      yield* Stream.runDrain(events)
      yield* json ? jsonLine({ ended: true }) : out("the node has ended")
    })
  )
})
