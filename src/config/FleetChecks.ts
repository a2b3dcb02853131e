/** What no single field of `fleet` can know: heartbeats too rare to be seen, auctions that never end, signatures that nobody could give. Pure. */
import { Duration, Option, Schema } from "effect"
import { DurationFromString } from "../domain/Quantity.ts"
import { FleetSettings, MISSED } from "../fleet/FleetSettings.ts"
import { contradiction, SigningSettings } from "../message/SigningSettings.ts"
import { BOUNDS } from "../task/DispatchSettings.ts"
import type { Finding } from "./Finding.ts"
import { list } from "./Groups.ts"
import { printable, valueAt } from "./Place.ts"

/** Shorter, and a pause of a node would cost it all that it holds. */
const SHORTEST = Duration.seconds(1)

const duration = Schema.decodeUnknownOption(DurationFromString)
const signing = Schema.decodeUnknownOption(SigningSettings)

/** Does its node take tasks from a ledger that others take from too? */
export const shares = (root: unknown): boolean =>
  valueAt(root, ["transport", "kind"]) === "nats" && valueAt(root, ["fleet", "ledger"]) !== "own"

/** What only a shared ledger has, and tasks for other nodes where there is none. */
function* ledgerChecks(root: unknown): Iterable<Finding> {
  if (shares(root)) return
  const why =
    valueAt(root, ["transport", "kind"]) === "nats" ? "the ledger of this node is its own" : "this node has no servers"
  for (const key of ["ledgerSize", "takeover", "failure", "dispatch", "placement", "sticky", "auction"]) {
    if (valueAt(root, ["fleet", key]) === undefined) continue
    yield { path: ["fleet", key], expected: `${why}: this is of a shared ledger`, suggestion: "leave it out" }
  }
  yield* replicaChecks(root)
  const self = valueAt(root, ["fleet", "node"])
  for (const [index, task] of list(valueAt(root, ["tasks"])).entries()) {
    const node = valueAt(task, ["node"])
    if (node === undefined || self === undefined || node === self) continue
    yield {
      path: ["tasks", index, "node"],
      expected: `${why}, and called "${printable(String(self))}": nobody else does it`
    }
  }
}

/** A node without servers has none that could keep anything. Where its ledger is its own, the list of nodes is kept by servers. */
function* replicaChecks(root: unknown): Iterable<Finding> {
  const replicas = valueAt(root, ["fleet", "replicas"])
  if (valueAt(root, ["transport", "kind"]) === "nats" || typeof replicas !== "number" || !(replicas > 1)) return
  yield {
    path: ["fleet", "replicas"],
    expected: "this node has no servers: there is nothing that could be kept on several",
    found: String(replicas),
    suggestion: 'leave it out, or write "kind": "nats" and "servers" into transport'
  }
}

export function* fleetChecks(root: unknown): Iterable<Finding> {
  const at = (key: string) => valueAt(root, ["fleet", key])
  const defaults = Schema.decodeSync(FleetSettings)({})
  const read = (value: unknown, otherwise: Duration.Duration) =>
    value === undefined ? otherwise : Option.getOrUndefined(duration(value))
  const heartbeat = read(at("heartbeat"), defaults.heartbeat)
  const expire = read(at("expire"), defaults.expire)
  if (heartbeat !== undefined && expire !== undefined) {
    const least = Duration.times(heartbeat, MISSED)
    if (Duration.isLessThan(expire, least))
      yield {
        path: ["fleet", at("expire") === undefined ? "heartbeat" : "expire"],
        expected: `expected expire to be at least ${MISSED} heartbeats (${Schema.encodeSync(DurationFromString)(least)}), or nodes that work would count as gone`
      }
  }
  yield* ledgerChecks(root)
  const takeover = read(at("takeover"), defaults.takeover)
  if (takeover !== undefined && Duration.isLessThan(takeover, SHORTEST))
    yield {
      path: ["fleet", "takeover"],
      expected: `expected at least ${Schema.encodeSync(DurationFromString)(SHORTEST)}`
    }
  yield* failureChecks(root, takeover)
  yield* auctionChecks(root)
  yield* dispatchChecks(root)
  const edge = valueAt(root, ["fleet", "edge"])
  if (at("ledger") === "own" && edge !== undefined)
    yield {
      path: ["fleet", "edge"],
      expected:
        'expected fleet.ledger "shared" beside it: a node that keeps its tasks for itself is never cut off from them'
    }
  const settings = Option.getOrUndefined(signing(at("signing")))
  const wrong = settings === undefined ? undefined : contradiction(settings)
  if (wrong !== undefined) yield { path: ["fleet", "signing", wrong.key], expected: wrong.problem }
}

/** Whoever is taken for dead has been suspected before, and nobody is waited for less long than a takeover takes. */
function* failureChecks(root: unknown, takeover: Duration.Duration | undefined): Iterable<Finding> {
  const at = (key: string) => valueAt(root, ["fleet", "failure", key])
  const { failure } = Schema.decodeSync(FleetSettings)({})
  const longest = Option.getOrUndefined(duration(at("longest")))
  if (takeover !== undefined && longest !== undefined && Duration.isLessThan(longest, takeover))
    yield {
      path: ["fleet", "failure", "longest"],
      expected: `expected at least takeover (${Schema.encodeSync(DurationFromString)(takeover)})`
    }
  const [suspect, dead] = [at("suspect") ?? failure.suspect, at("dead") ?? failure.dead]
  if (typeof suspect === "number" && typeof dead === "number" && suspect >= dead)
    yield {
      path: ["fleet", "failure", at("suspect") === undefined ? "dead" : "suspect"],
      expected: `expected suspect (${suspect}) to be below dead (${dead})`
    }
}

/** What is waited for too long holds tasks up; what is waited for too short is done twice. */
function* dispatchChecks(root: unknown): Iterable<Finding> {
  if (!shares(root) || valueAt(root, ["fleet", "dispatch"]) === undefined) return
  if (valueAt(root, ["fleet", "placement"]) === "auction")
    yield {
      path: ["fleet", "dispatch"],
      expected: "nodes bid for tasks, and no queue gives them out, because placement is auction",
      suggestion: 'write "placement": "first", or leave it out'
    }
  for (const [key, { least, most }] of Object.entries(BOUNDS)) {
    const given = Option.getOrUndefined(duration(valueAt(root, ["fleet", "dispatch", key])))
    if (given === undefined || Duration.between(given, { minimum: least, maximum: most })) continue
    const [from, to] = [least, most].map((bound) => Schema.encodeSync(DurationFromString)(bound))
    yield { path: ["fleet", "dispatch", key], expected: `expected from ${from} to ${to}` }
  }
}

/** No task waits for an auction for longer than this. */
const LONGEST = { window: Duration.seconds(10), grace: Duration.seconds(60) }

function* auctionChecks(root: unknown): Iterable<Finding> {
  const at = (key: string) => valueAt(root, ["fleet", "auction", key])
  if (
    shares(root) &&
    valueAt(root, ["fleet", "auction"]) !== undefined &&
    valueAt(root, ["fleet", "placement"]) !== "auction"
  )
    yield {
      path: ["fleet", "auction"],
      expected: "there is no auction, because placement is not auction",
      suggestion: 'write "placement": "auction", or leave it out'
    }
  for (const [key, longest] of Object.entries(LONGEST)) {
    const given = Option.getOrUndefined(duration(at(key)))
    if (given !== undefined && Duration.isGreaterThan(given, longest))
      yield {
        path: ["fleet", "auction", key],
        expected: `expected at most ${Schema.encodeSync(DurationFromString)(longest)}`
      }
  }
}
