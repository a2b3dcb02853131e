/** `drain`: the node begins no more work, finishes what runs, and ends. Waits for that end; interrupting it changes nothing. */
import { Effect, Stream } from "effect"
import * as ProcessTable from "../process/ProcessTable.ts"
import * as ProcFs from "../process/ProcFs.ts"
import { jsonLine, out } from "./Printing.ts"
import { type Where, withNode } from "./Where.ts"
import { harmless } from "./Words.ts"

/** Longer than all agents may take to end. */
const LIMIT = "1 minute"

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
      const { pid } = yield* node.ask((client) => client.node())
      const process = ProcessTable.read(pid)
      const { running } = yield* node.ask((client) => client.drain())
      yield* json
        ? jsonLine({ draining: true, running })
        : out(
            running.length === 0
              ? "nothing runs; the node ends"
              : harmless(`the node ends when this is done: ${running.join(", ")}`)
          )
      yield* Stream.runDrain(events)
      // It closes its door first and ends its agents then: who starts another one next must find the directory free.
      const isGone = () => {
        const now = ProcessTable.read(pid)
        return now === undefined || now.startTime !== process?.startTime || ProcFs.isDead(now)
      }
      yield* Effect.repeat(Effect.sleep("20 millis"), { until: isGone }).pipe(Effect.timeoutOption(LIMIT))
      yield* json ? jsonLine({ ended: true }) : out("the node has ended")
    })
  )
})
