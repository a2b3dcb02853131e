/** `limit AGENT`: change what a running agent may use, until its next life. */
import { Effect, Option, Schema } from "effect"
import { LimitsView } from "../admin/Api.ts"
import { err, jsonLine, out, painter } from "./Printing.ts"
import { UsageWrong } from "./UsageFault.ts"
import { type AgentInput, withNode } from "./Where.ts"
import { harmless } from "./Words.ts"

export interface LimitInput extends AgentInput {
  readonly memory: Option.Option<string>
  readonly memoryHigh: Option.Option<string>
  readonly cpus: Option.Option<number>
  readonly processes: Option.Option<number>
  readonly ioWeight: Option.Option<number>
  readonly required: boolean
}

const decode = Schema.decodeUnknownEffect(LimitsView, { errors: "all" })

export const limitAgent = Effect.fn("cli.limit")(function* (input: LimitInput) {
  const { agent, cpus, ioWeight, json, memory, memoryHigh, processes, required, where } = input
  const flags: ReadonlyArray<readonly [string, Option.Option<string | number>]> = Object.entries({
    memory,
    memoryHigh,
    cpus,
    processes,
    ioWeight
  })
  const said = flags.flatMap(([key, value]) => (Option.isSome(value) ? [[key, value.value] as const] : []))
  if (said.length === 0) {
    return yield* new UsageWrong({ problem: "there is no limit to change", advice: "give one, such as --cpus 1.5" })
  }
  const payload = yield* Effect.mapError(
    decode({ ...Object.fromEntries(said), enforce: required ? "required" : "best_effort" }),
    ({ message }) => new UsageWrong({ problem: message })
  )
  const p = yield* painter
  const unenforced = yield* withNode(where, (node) =>
    node.ask((client) => client.limitAgent({ params: { id: agent }, payload }))
  )
  if (json) return yield* jsonLine({ agent, unenforced })
  yield* out(`${agent} is limited until its next life`)
  for (const { instead, limit, why } of harmless(unenforced)) {
    yield* err(
      p(
        "yellow",
        `the kernel does not enforce ${limit} here (${why})${instead === "sampled" ? "; it is looked at now and then" : ""}`
      )
    )
  }
})
