/** What no single field of `transport` can know: nobody to connect to, half a pair, two ways to say who this is. Pure. */
import { Duration, Option, Schema } from "effect"
import { DurationFromString } from "../domain/Quantity.ts"
import { TransportSettings } from "../transport/TransportSettings.ts"
import type { Finding } from "./Finding.ts"
import { list } from "./Groups.ts"
import { printable, valueAt } from "./Place.ts"

/** Each of them says who this node is. A token, key or file stands alone. */
const IDENTITIES = ["user", "token", "nkey", "credentials"]
const PAIRS = [
  [["user"], ["password"]],
  [
    ["tls", "cert"],
    ["tls", "key"]
  ]
] as const

const duration = Schema.decodeUnknownOption(DurationFromString)

export function* transportChecks(root: unknown): Iterable<Finding> {
  const at = (path: ReadonlyArray<string>) => valueAt(root, ["transport", ...path])
  if (at(["kind"]) === "nats" && (at(["servers"]) === undefined || list(at(["servers"])).length === 0)) {
    yield {
      path: ["transport", "servers"],
      expected: "expected at least one server, because the kind is nats",
      suggestion: 'write the address of one, such as "nats://127.0.0.1:4222"'
    }
  }
  if ((at(["kind"]) ?? "memory") === "memory" && list(at(["servers"])).length > 0)
    yield {
      path: ["transport", "servers"],
      expected: "expected no servers, because the kind is memory, with which a node is alone",
      suggestion: 'write "kind": "nats", or leave them out'
    }
  if (at(["returnAfter"]) !== undefined && at(["order"]) !== "listed")
    yield {
      path: ["transport", "returnAfter"],
      expected: 'expected transport.order "listed" beside it: where all servers are equal, none is returned to'
    }
  for (const pair of PAIRS) {
    for (const [one, other] of [pair, [pair[1], pair[0]]] as const) {
      if (at(one) === undefined || at(other) !== undefined) continue
      yield { path: ["transport", ...one], expected: `expected ${["transport", ...other].join(".")} beside it` }
    }
  }
  const [first, ...others] = IDENTITIES.filter((identity) => at([identity]) !== undefined)
  for (const identity of others) {
    yield {
      path: ["transport", identity],
      expected: `there is transport.${first} already: a server is told one thing only`,
      suggestion: "leave one of them out"
    }
  }
  yield* waits(at(["reconnect", "first"]), at(["reconnect", "longest"]))
}

function* waits(first: unknown, longest: unknown): Iterable<Finding> {
  if (first === undefined && longest === undefined) return
  const { reconnect } = Schema.decodeSync(TransportSettings)({})
  const read = (value: unknown, otherwise: Duration.Duration) =>
    value === undefined ? otherwise : Option.getOrUndefined(duration(value))
  const [from, to] = [read(first, reconnect.first), read(longest, reconnect.longest)]
  if (from === undefined || to === undefined || !Duration.isGreaterThan(from, to)) return
  const words = (value: unknown, time: Duration.Duration) =>
    value === undefined ? `${Schema.encodeSync(DurationFromString)(time)} by default` : printable(String(value))
  yield longest === undefined
    ? { path: ["transport", "reconnect", "first"], expected: `expected at most longest (${words(longest, to)})` }
    : { path: ["transport", "reconnect", "longest"], expected: `expected at least first (${words(first, from)})` }
}
