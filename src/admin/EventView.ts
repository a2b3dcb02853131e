/** An event as it travels: its kind, number and time, and the fields of its kind as docs/events.md lists them. */
import { Schema } from "effect"
import type { Published } from "../event/Event.ts"

export const EventView = Schema.StructWithRest(
  Schema.Struct({ type: Schema.String, seq: Schema.Finite, at: Schema.Finite }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)

/** The number of an event among those of all runs: its run, and its place in it. What `Last-Event-ID` says. */
export const eventId = (run: string, { seq }: Published): string => `${run}-${seq}`

/** Where a reader was, if that was in this run. */
export const seqIn = (run: string, id: string): number | undefined => {
  const [of, seq = ""] = id.split("-")
  return of === run && /^\d{1,15}$/.test(seq) ? Number(seq) : undefined
}

/** Whom an event speaks of, for readers who want to hear of one only. */
export const speaksOf = (event: Published, about: { readonly task?: string; readonly agent?: string }): boolean => {
  if (event.type === "events.gap") return true
  const named = event as { readonly task?: string; readonly agent?: string; readonly child?: string }
  return (
    (about.task === undefined || named.task === about.task) &&
    (about.agent === undefined || named.agent === about.agent || named.child === about.agent)
  )
}
