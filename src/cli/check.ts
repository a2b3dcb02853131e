/** `check`: what is wrong with a config, every mistake with its place; or that nothing is. */
import { Console, Effect } from "effect"
import * as Load from "../config/Load.ts"
import { doubts as fleetDoubts } from "../fleet/FleetDoubts.ts"
import { warnings } from "../transport/TransportSettings.ts"

export const check = Effect.fn("cli.check")(function* ({
  config: file,
  json
}: {
  readonly config: string
  readonly json: boolean
}) {
  const config = yield* Load.load(file, process.env).pipe(
    Effect.tapErrorTag("ConfigInvalid", ({ mistakes }) =>
      json ? Console.log(JSON.stringify({ ok: false, file, mistakes })) : Effect.void
    )
  )
  // Not a mistake, and hardly meant.
  const doubts = [...warnings(config.transport), ...fleetDoubts(config.transport, config.fleet)]
  if (!json) yield* Effect.forEach(doubts, (doubt) => Console.error(`${file}: ${doubt}`))
  const agents = config.agents.reduce((sum, { replicas }) => sum + replicas, 0)
  yield* Console.log(
    json
      ? JSON.stringify({
          ok: true,
          file,
          agents,
          tasks: config.tasks.length,
          ...(doubts.length === 0 ? {} : { warnings: doubts })
        })
      : `${file} is fine: ${count(agents, "agent")}, ${count(config.tasks.length, "task")}`
  )
})

const count = (n: number, noun: string) => `${n} ${noun}${n === 1 ? "" : "s"}`
