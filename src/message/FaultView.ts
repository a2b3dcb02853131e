/** A fault as it travels. Texts of a peer are bounded. */
import { Schema } from "effect"
import type { FaultReport } from "../domain/Fault.ts"
import { bounded } from "./Fields.ts"

/** The longest message of a fault, and the longest hint, in characters. */
export const MAX_FAULT = 4096

export const FaultView = Schema.Struct({
  kind: bounded(200),
  message: bounded(MAX_FAULT),
  severity: Schema.Literals(["low", "medium", "high", "critical"]),
  recovery: Schema.Literals(["retry", "restart", "escalate", "reload", "circuit-breaker", "failover", "ignore"]),
  hint: Schema.optionalKey(bounded(MAX_FAULT))
})

/** Cut to what may travel. */
export const viewOf = ({ hint, kind, message, recovery, severity }: FaultReport): typeof FaultView.Type => ({
  kind: kind.slice(0, 200),
  message: message.slice(0, MAX_FAULT),
  severity,
  recovery,
  ...(hint === undefined ? {} : { hint: hint.slice(0, MAX_FAULT) })
})
