/** What no single field of `fleet` can know: heartbeats too rare to be seen, signatures that nobody could give. Pure. */
import { Duration, Option, Schema } from "effect"
import { DurationFromString } from "../domain/Quantity.ts"
import { FleetSettings, MISSED } from "../fleet/FleetSettings.ts"
import { contradiction, SigningSettings } from "../message/SigningSettings.ts"
import type { Finding } from "./Finding.ts"
import { valueAt } from "./Place.ts"

const duration = Schema.decodeUnknownOption(DurationFromString)
const signing = Schema.decodeUnknownOption(SigningSettings)

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
  yield* failureChecks(root, heartbeat)
  const settings = Option.getOrUndefined(signing(at("signing")))
  const wrong = settings === undefined ? undefined : contradiction(settings)
  if (wrong !== undefined) yield { path: ["fleet", "signing", wrong.key], expected: wrong.problem }
}

/** Whoever is to be waited for must have the time to speak, and is suspected before it is dead. */
function* failureChecks(root: unknown, heartbeat: Duration.Duration | undefined): Iterable<Finding> {
  const at = (key: string) => valueAt(root, ["fleet", "failure", key])
  const { failure } = Schema.decodeSync(FleetSettings)({})
  const read = (key: "after" | "longest") =>
    at(key) === undefined ? failure[key] : Option.getOrUndefined(duration(at(key)))
  const words = (time: Duration.Duration) => Schema.encodeSync(DurationFromString)(time)
  const [after, longest] = [read("after"), read("longest")]
  if (heartbeat !== undefined && after !== undefined) {
    const least = Duration.times(heartbeat, MISSED)
    if (Duration.isLessThan(after, least))
      yield {
        path: ["fleet", ...(at("after") === undefined ? ["heartbeat"] : ["failure", "after"])],
        expected: `expected failure.after to be at least ${MISSED} heartbeats (${words(least)}), or nodes that work would count as dead`
      }
  }
  if (after !== undefined && longest !== undefined && Duration.isLessThan(longest, after))
    yield {
      path: ["fleet", "failure", at("longest") === undefined ? "after" : "longest"],
      expected: `expected longest to be at least after (${words(after)})`
    }
  const phi = (key: "suspect" | "dead") => at(key) ?? failure[key]
  const [suspect, dead] = [phi("suspect"), phi("dead")]
  if (typeof suspect === "number" && typeof dead === "number" && suspect >= dead)
    yield {
      path: ["fleet", "failure", at("suspect") === undefined ? "dead" : "suspect"],
      expected: `expected suspect (${suspect}) to be below dead (${dead})`
    }
}
