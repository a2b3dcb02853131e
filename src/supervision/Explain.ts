/** Why a child is as it is, in a sentence or two for an operator. */
import { Effect } from "effect"
import { ChildNotFound } from "./ChildError.ts"
import type { ChildInfo, SupervisorInfo } from "./Snapshot.ts"
import { inWords, roughly } from "./Words.ts"

const failureOf = ({ lastFailure }: ChildInfo): string =>
  lastFailure === undefined ? "" : `${lastFailure.kind}: ${lastFailure.message}`

const times = (count: number) => (count === 1 ? "once" : `${count} times`)

const restarted = (child: ChildInfo): string => {
  if (child.restarts === 0) return "it has never been restarted"
  const because = child.lastFailure === undefined ? "" : `, last because of ${failureOf(child)}`
  return `it has been restarted ${times(child.restarts)}${because}`
}

const down = (child: ChildInfo): string => {
  if (child.note !== undefined) return child.note
  if (child.lastEnding === "stopped") return "was interrupted from outside, which is a stop"
  if (child.lastEnding === "normal") return `has finished, and a ${child.restart} child is not restarted then`
  if (child.lastEnding === "failed") return `could not be started: ${failureOf(child)}`
  return "has not been started yet"
}

const sentence = (child: ChildInfo, above: SupervisorInfo): string => {
  switch (child.status) {
    case "running":
      return `has run for ${inWords(roughly(child.uptimeMillis ?? 0))}; ${restarted(child)}`
    case "starting":
      return `is starting; ${restarted(child)}`
    case "stopping":
      return "is stopping"
    case "restarting":
      return child.restartInMillis === undefined
        ? `waits for its group to be restarted${child.lastFailure === undefined ? "" : ` after ${failureOf(child)}`}`
        : `failed with ${failureOf(child)}; it is restarted in ${inWords(child.restartInMillis)}`
    case "stopped":
    case "ended":
      return above.failure === undefined
        ? `${down(child)}; it stays down until it is restarted`
        : `${down(child)}, and will not be restarted: ${above.failure}`
  }
}

export const explain = (from: SupervisorInfo, way: string): Effect.Effect<string, ChildNotFound> => {
  const [first = "", ...rest] = way.split("/")
  const child = from.children.find(({ id }) => id === first)
  if (child === undefined) return Effect.fail(new ChildNotFound({ supervisor: from.path, child: first }))
  if (rest.length === 0) return Effect.succeed(`"${from.path}/${first}" ${sentence(child, from)}.`)
  if (child.supervisor !== undefined) return explain(child.supervisor, rest.join("/"))
  return Effect.fail(new ChildNotFound({ supervisor: `${from.path}/${first}`, child: rest.join("/") }))
}
