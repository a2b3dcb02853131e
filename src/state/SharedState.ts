/** The StateStore that all nodes of a fleet share; undefined where a node is alone, or has no servers. */
import { Context } from "effect"
import type { StateStore } from "./StateStore.ts"

export const SharedState = Context.Reference<StateStore["Service"] | undefined>("mister-smith/state/SharedState", {
  defaultValue: () => undefined
})
