/**
 * For which other tasks a task waits, and what is to become of it where one of them does not succeed. A chain of them leads
 * to an end: a circle would wait for ever, and so would who waits for what nobody has asked for.
 */
import { Schema } from "effect"
import { TaskId } from "../domain/Ids.ts"
import type { TaskSpec } from "./TaskSpec.ts"

/** The most tasks that one waits for. */
export const MAX_AFTER = 1_000

export const After = Schema.Array(
  Schema.Union([
    TaskId,
    Schema.Struct({
      task: TaskId,
      onFailure: Schema.optionalKey(Schema.Literals(["cancel", "run"])).annotateKey({
        description: 'Where it fails or is cancelled: "cancel" this one too, or "run" it all the same. Default "cancel"'
      })
    })
  ])
).pipe(Schema.check(Schema.isMaxLength(MAX_AFTER, { message: `expected at most ${MAX_AFTER} tasks` })))

/**
 * What becomes of it where each of them fails; named twice, the stricter. A conversation is gone on with when the task that
 * has begun it has ended, however it did.
 */
export const edgesOf = ({
  after = [],
  session
}: Pick<TaskSpec, "after" | "session">): ReadonlyMap<string, "cancel" | "run"> => {
  const edges = new Map<string, "cancel" | "run">()
  for (const edge of after) {
    const [task, onFailure = "cancel"] = typeof edge === "string" ? [edge] : [edge.task, edge.onFailure]
    if (edges.get(task) !== "cancel") edges.set(task, onFailure)
  }
  const of = typeof session === "string" ? session : session?.of
  if (of !== undefined && !edges.has(of)) edges.set(of, "run")
  return edges
}

/** A circle of these, each waiting for the next and the last for the first; `waitsFor` may name others too. */
export const circle = <A>(all: Iterable<A>, waitsFor: (one: A) => Iterable<A>): ReadonlyArray<A> | undefined => {
  const over = new Set<A>()
  for (const first of all) {
    if (over.has(first)) continue
    // Without recursion: a chain may be longer than the stack.
    const way: Array<{ readonly one: A; readonly rest: Iterator<A> }> = []
    const on = new Set<A>()
    const enter = (one: A) => {
      on.add(one)
      way.push({ one, rest: waitsFor(one)[Symbol.iterator]() })
    }
    enter(first)
    for (let last = way.at(-1); last !== undefined; last = way.at(-1)) {
      const next = last.rest.next()
      if (next.done === true) {
        on.delete(last.one)
        over.add(last.one)
        way.pop()
      } else if (on.has(next.value)) {
        return way.map(({ one }) => one).slice(way.findIndex(({ one }) => one === next.value))
      } else if (!over.has(next.value)) enter(next.value)
    }
  }
  return undefined
}
