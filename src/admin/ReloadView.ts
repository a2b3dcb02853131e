/** What a reload changes, as it travels: names and keys, never values. */
import { Schema } from "effect"

export const PlanView = Schema.Struct({
  /** In the order of the new config; those to be removed come last. */
  agents: Schema.Array(
    Schema.Struct({
      agent: Schema.String,
      do: Schema.Literals(["add", "change", "remove", "keep"]),
      /** Which keys differ. */
      keys: Schema.Array(Schema.String),
      /** Whether this takes a new CLI. */
      renews: Schema.Boolean
    })
  ),
  settings: Schema.Array(
    Schema.Struct({ key: Schema.String, holds: Schema.Literals(["now", "next_cli", "node_restart"]) })
  ),
  /** Those that are submitted. */
  tasks: Schema.Array(Schema.String),
  /** The agents that stay are in another order. */
  reordered: Schema.Boolean
})
export type PlanView = typeof PlanView.Type
