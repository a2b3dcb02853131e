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
  const settings = Option.getOrUndefined(signing(at("signing")))
  const wrong = settings === undefined ? undefined : contradiction(settings)
  if (wrong !== undefined) yield { path: ["fleet", "signing", wrong.key], expected: wrong.problem }
}
