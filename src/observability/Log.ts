/** How a room logs: under its own name, by which its level can be set. */
import { Effect } from "effect"
import type { Module } from "./LogSettings.ts"

/** Everything logged within is of this module, unless it says otherwise itself. */
export const inModule = (module: Module) => Effect.annotateLogs("module", module)
