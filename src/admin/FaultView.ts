/** A fault as it travels: what a person or a program may know of it. */
import { Schema } from "effect"

const fields = {
  kind: Schema.String,
  message: Schema.String,
  severity: Schema.Literals(["low", "medium", "high", "critical"]),
  recovery: Schema.Literals(["retry", "restart", "escalate", "reload", "circuit-breaker", "failover", "ignore"]),
  hint: Schema.optionalKey(Schema.String)
}

export const FaultView = Schema.Struct(fields)

/** One that happened at a known time. */
export const FaultAt = Schema.Struct({ ...fields, at: Schema.Finite })
