/**
 * What `submit` lets a person say of a task: one row for each flag, with what it makes of the task. The rows only say; the
 * files that some of them name are read by whoever submits (TaskOf.ts).
 */
import { resolve } from "node:path"
import { Option } from "effect"
import { Flag } from "effect/cli"
import { labelIn, labelsOf } from "../task/Labels.ts"

/** A task that is being put together, as JSON would hold it. */
export type Draft = Readonly<Record<string, unknown>>

interface Row<A> {
  readonly flag: Flag.Flag<Option.Option<A>>
  /** It names a file of JSON, and `to` is given what stands in it. */
  readonly reads: boolean
  readonly to: (value: A, draft: Draft) => Draft
}

const row = <A>(flag: Flag.Flag<Option.Option<A>>, to: (value: A, draft: Draft) => Draft): Row<A> => ({
  flag,
  reads: false,
  to
})
const reading = (flag: Flag.Flag<Option.Option<string>>, to: (value: unknown, draft: Draft) => Draft): Row<string> => ({
  flag,
  reads: true,
  to
})

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)
const int = (name: string, description: string) => Flag.Int(name).pipe(Flag.withDescription(description), Flag.optional)

/** Given as often as wanted. */
export const texts = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.atLeast(0))
const several = (name: string, metavar: string, description: string) => given(texts(name, metavar, description))
const given = (flag: Flag.Flag<ReadonlyArray<string>>) =>
  Flag.map(flag, (list) => (list.length === 0 ? Option.none() : Option.some(list)))

export const labels = (description: string) =>
  texts("label", "KEY=VALUE", description).pipe(
    Flag.filter(
      (list) => list.every((text) => labelIn(text) !== undefined),
      (list) =>
        `expected KEY=VALUE such as team=web, found ${JSON.stringify(list.find((text) => labelIn(text) === undefined))}`
    )
  )

const set = (key: string) => (value: unknown, draft: Draft) => ({ ...draft, [key]: value })
const list = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])
/** A part of a part. */
const within = (part: string, key: string) => (value: unknown, draft: Draft) => ({
  ...draft,
  [part]: { ...(draft[part] as object | undefined), [key]: value }
})
const budget = (key: string) => within("budget", key)

/** `build:run`: however it ends. */
const edge = (said: string) =>
  said.endsWith(":run") ? { task: said.slice(0, -":run".length), onFailure: "run" } : said

/** In the order in which they are applied. */
export const rows = {
  id: row(text("id", "ID", "Its name. The same id with the same content is not done twice"), set("id")),
  type: row(text("type", "TYPE", "Its type, by which agents take it"), set("type")),
  agent: row(text("agent", "AGENT", "The agent that must do it"), set("agent")),
  node: row(text("node", "NODE", "The node of a fleet that must do it"), set("node")),
  prefer: row(text("prefer", "AGENT", "The agent that does it where it is idle"), set("prefer")),
  requires: row(
    text("requires", "LIST", "What the agent must be able to do, with commas between"),
    // A capability may hold spaces, not begin or end with them.
    (words, draft) => ({ ...draft, capabilities: words.split(",").map((each) => each.trim()) })
  ),
  session: row(
    text("session", "TASK", "Go on with the conversation of this task, when that has ended"),
    set("session")
  ),
  schema: reading(text("schema", "FILE", "A JSON Schema for the answer"), set("schema")),
  priority: row(int("priority", "From -10 to 10: what is higher begins first"), set("priority")),
  notBefore: row(
    text("not-before", "TIME", 'When it may begin: "2030-01-31T08:00:00Z", or "2 hours" from now'),
    set("notBefore")
  ),
  after: row(
    several(
      "after",
      "ID[:run]",
      "A task that must have ended before; with :run it need not have succeeded. May be repeated"
    ),
    (ids, draft) => ({ ...draft, after: ids.map(edge) })
  ),
  label: row(given(labels("A label, to find it by. May be repeated")), (all, draft) => ({
    ...draft,
    labels: { ...(draft["labels"] as object | undefined), ...labelsOf(all) }
  })),
  input: row(several("input", "FILE", "A file that it comes with. May be repeated"), (files, draft) => ({
    ...draft,
    files: [...list(draft["files"]), ...files.map((file) => resolve(file))]
  })),
  evidence: reading(
    text("evidence", "FILE", "A JSON list of proofs that are looked at after the turn"),
    set("evidence")
  ),
  prove: row(
    several("prove", "COMMAND", "A shell line that must exit with 0 in the agent's workspace. May be repeated"),
    (lines, draft) => ({
      ...draft,
      evidence: [...list(draft["evidence"]), ...lines.map((line) => ({ command: ["sh", "-c", line] }))]
    })
  ),
  budgetUsd: row(
    Flag.Finite("budget-usd").pipe(Flag.withDescription("Dollars that it may cost in all"), Flag.optional),
    budget("costUsd")
  ),
  budgetTurns: row(int("budget-turns", "Round trips to the model that it may take in all"), budget("turns")),
  budgetTokens: row(int("budget-tokens", "Tokens that it may use in all"), budget("tokens")),
  timeoutQueue: row(
    text("timeout-queue", "TIME", "How long it may wait for an agent, such as 1 hour"),
    within("timeouts", "queue")
  ),
  timeoutAttempt: row(text("timeout-attempt", "TIME", "How long a turn of it may take"), within("timeouts", "attempt")),
  timeout: row(
    text("timeout", "TIME", "How long all of it may take, whatever it waits for"),
    within("timeouts", "whole")
  ),
  attempts: row(int("attempts", "How often it is tried in all"), within("retry", "attempts")),
  schedule: row(
    text("schedule", "CRON", 'When it is done again and again, such as "0 3 * * *" (UTC, or see --time-zone)'),
    set("schedule")
  ),
  timeZone: row(text("time-zone", "ZONE", "The zone of --schedule, such as Europe/Berlin"), (timeZone, draft) => ({
    ...draft,
    schedule: {
      ...(typeof draft["schedule"] === "string"
        ? { cron: draft["schedule"] }
        : (draft["schedule"] as object | undefined)),
      timeZone
    }
  })),
  traceparent: row(text("traceparent", "TRACE", "The W3C trace that it belongs to"), set("traceparent"))
} as const

type Rows = typeof rows
type Flags = { readonly [Key in keyof Rows]: Rows[Key]["flag"] }
export type TaskFlags = { readonly [Key in keyof Rows]: Option.Option<unknown> }

export const taskFlags = Object.fromEntries(Object.entries(rows).map(([name, { flag }]) => [name, flag])) as Flags

/** Each flag that was given, with its row. */
export const said = (flags: TaskFlags): ReadonlyArray<readonly [value: unknown, row: Row<never>]> =>
  (Object.keys(rows) as ReadonlyArray<keyof Rows>).flatMap((name) => {
    const value = flags[name]
    return Option.isSome(value) ? [[value.value, rows[name] as unknown as Row<never>] as const] : []
  })
