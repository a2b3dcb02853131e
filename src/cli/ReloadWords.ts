/** What happens in a reload, in a line for people. */
import type { Published } from "../event/Event.ts"
import type { Paint } from "./Words.ts"

type ReloadEvent = Extract<Published, { readonly type: `reload.${string}` }>

export const list = (names: ReadonlyArray<string>, most = 5): string =>
  names.length <= most ? names.join(", ") : `${names.slice(0, most).join(", ")} and ${names.length - most} more`

const doing = { add: "comes", change: "changes", remove: "goes", undo: "is brought back" } as const
const did = { add: "is there", change: "is changed", remove: "is gone", undo: "is as it was" } as const

export const reloadLine = (event: ReloadEvent, p: Paint): string | undefined => {
  switch (event.type) {
    case "reload.planned": {
      const parts = [
        ["comes", event.add] as const,
        ["changes", event.change] as const,
        ["goes", event.remove] as const,
        ["new task", event.tasks] as const,
        ["setting", event.settings] as const,
        ["needs a restart of the node", event.needsRestart] as const
      ].flatMap(([word, names]) => (names.length === 0 ? [] : [`${word}: ${list(names)}`]))
      return `${p("bold", "reload")} ${parts.length === 0 ? "changes nothing" : parts.join("; ")}`
    }
    case "reload.step":
      switch (event.is) {
        case "waiting":
          return `${p("bold", "reload")} ${event.agent}: ${event.why ?? "waits"}`
        case "begun":
          return `${p("bold", "reload")} ${event.agent} ${doing[event.step]}`
        case "done":
          return `${p("bold", "reload")} ${event.agent} ${did[event.step]}`
        case "failed":
          return p("red", `reload ${event.agent}: ${event.why ?? "failed"}`)
      }
      return undefined
    case "reload.done":
      return `${p("bold", "reload")} done`
    case "reload.rolled_back":
      return p("red", `reload undone, because of ${event.cause}: ${event.why}`)
    case "reload.refused":
      return p("red", `reload refused, nothing is changed: ${event.why}`)
  }
}
