/**
 * `__complete WORDS`, which completion scripts call: the names on the running node that fit where the cursor is, one a
 * line. The last word is the one at the cursor. It says nothing where it does not know, and where no node answers at
 * once: whoever presses a key does not want to read of it.
 */
import { Effect, Option } from "effect"
import type { AdminClient } from "../admin/AdminClient.ts"
import { isFinal, type TaskState } from "../domain/Task.ts"
import { out } from "./Printing.ts"
import { type Where, withNode } from "./Where.ts"

/** A node that takes longer does not matter to somebody who types. */
const PATIENCE = "1 second"
/** Names of tasks that are offered, the latest. */
const OFFERED = 200

export type Kind = "tasks" | "open" | "ended" | "dead" | "agents" | "targets" | "explained"

/** What is named by the first word of a command that is no flag. */
const arguments_: Readonly<Record<string, Kind>> = {
  task: "tasks",
  "task cancel": "open",
  "task retry": "ended",
  "task replay": "dead",
  "task drop": "dead",
  stop: "targets",
  start: "targets",
  restart: "targets",
  pause: "targets",
  resume: "targets",
  interrupt: "targets",
  tell: "targets",
  model: "targets",
  logs: "targets",
  limit: "agents",
  explain: "explained"
}

/** What is named by a flag, of any command or of one. */
const flags: Readonly<Record<string, Kind>> = {
  "--agent": "agents",
  "--prefer": "agents",
  "--after": "tasks",
  "--session": "tasks",
  "events --task": "tasks"
}

const own = (table: Readonly<Record<string, Kind>>, key: string): Kind | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined

/** They take no value. All others do. */
const SWITCHES =
  /^(-\w|--json|--no-.*|--wait|--follow|--required|--plan|--now|--yes|--fleet|--force|--help|--version|--wizard)$/

/** What the last of these words is to name, and which node is meant. */
export const wanted = (words: ReadonlyArray<string>): { readonly kind: Kind | undefined; readonly where: Where } => {
  const named: Array<string> = []
  let dataDir = Option.none<string>()
  let config = Option.none<string>()
  let kind: Kind | undefined
  for (let at = 0; at < words.length; at++) {
    const last = at === words.length - 1
    const word = words[at] ?? ""
    if (!word.startsWith("-")) {
      if (last) kind = named.length === 0 ? undefined : own(arguments_, named.join(" "))
      named.push(word)
      continue
    }
    if (last || SWITCHES.test(word)) continue
    const [flag = "", ...rest] = word.split("=")
    // A shell may hand over what stands before and after a "=" as words of their own.
    if (rest.length === 0 && words[at + 1] === "=") at++
    const value = rest.length > 0 ? rest.join("=") : words[++at]
    if (flag === "--data-dir") dataDir = Option.fromNullishOr(value)
    if (flag === "--config") config = Option.fromNullishOr(value)
    if (rest.length === 0 && at === words.length - 1) kind = own(flags, flag) ?? own(flags, `${named[0]} ${flag}`)
  }
  return { kind, where: { dataDir, config } }
}

type Node = AdminClient["Service"]

const tasks = (node: Node, fits: (state: TaskState) => boolean) =>
  Effect.map(
    node.ask((client) => client.tasks({ query: { limit: OFFERED } })),
    ({ tasks }) => tasks.filter(({ state }) => fits(state)).map(({ id }) => id)
  )

const agents = (node: Node, more: boolean) =>
  Effect.map(
    node.ask((client) => client.tree()),
    ({ agents }) => [...agents.map(({ id }) => id), ...(more ? [...agents.map(({ group }) => group), "all"] : [])]
  )

const names = (node: Node, kind: Kind) => {
  switch (kind) {
    case "tasks":
      return tasks(node, () => true)
    case "open":
      return tasks(node, (state) => !isFinal(state))
    case "ended":
      return tasks(node, (state) => isFinal(state) && state !== "succeeded")
    case "dead":
      return tasks(node, (state) => state === "dead")
    case "agents":
      return agents(node, false)
    case "explained":
      return Effect.zipWith(
        agents(node, false),
        tasks(node, () => true),
        (agents, tasks) => [...agents, ...tasks]
      )
    case "targets":
      return agents(node, true)
  }
}

/** Never fails, and says nothing but names. */
export const complete = Effect.fn("cli.complete")(
  function* (words: ReadonlyArray<string>) {
    const { kind, where } = wanted(words)
    if (kind === undefined) return
    const begun = words.at(-1) ?? ""
    const found = yield* Effect.timeout(
      withNode(where, (node) => names(node, kind)),
      PATIENCE
    )
    const fitting = [...new Set(found)].filter((name) => name.startsWith(begun) && /^[\w-]+$/.test(name))
    if (fitting.length > 0) yield* out(fitting.join("\n"))
  },
  Effect.catchCause(() => Effect.void)
)
