/**
 * What a config asks for, given to a node that may know it from an earlier run. What has succeeded is answered with its
 * result, what was begun goes on, and what has failed or was cancelled is done once more: but not what was given up because
 * it was broken off too often, which a service manager that starts the node anew would else do for ever.
 *
 * A task without an id of its own is named by its place. Where another text stands in that place than in the earlier run,
 * it is another task, named by its content too, and it replaces what is unfinished of the one before. A task that has an
 * id keeps it: other content under the same id is a conflict, which is for a person to solve.
 */
import { createHash } from "node:crypto"
import { Effect } from "effect"
import { seriesOf, TaskId } from "../domain/Ids.ts"
import { isFinal, moves, type TaskState } from "../domain/Task.ts"
import type { MisterSmith } from "../MisterSmith.ts"
import type { TaskSpec } from "../task/TaskSpec.ts"

type Named = TaskSpec & { readonly id: string }

const ONCE_MORE = { again: true, brokenOff: false }

const open = (Object.keys(moves) as ReadonlyArray<TaskState>).filter((state) => !isFinal(state))

export const submit = Effect.fn("cli.submitTasks")(function* (
  smith: MisterSmith["Service"],
  tasks: ReadonlyArray<Named>,
  /** Not said: all of them. */
  only?: ReadonlySet<string>
) {
  if (smith.sharesTasks) return yield* among(smith, tasks, only)
  const meant = (task: Named) => only === undefined || only.has(task.id)
  const asked = yield* Effect.result(smith.submitAll(tasks.filter(meant), ONCE_MORE))
  if (asked._tag === "Success") return asked.success
  if (asked.failure._tag !== "TaskConflict") return yield* asked.failure
  const conflicts = new Set<string>(asked.failure.tasks)
  const changed = tasks.filter((task, index) => meant(task) && conflicts.has(task.id) && isPlace(task, index))
  if (changed.length === 0) return yield* asked.failure
  const renamed = tasks
    .filter(meant)
    .map((task) => (changed.includes(task) ? { ...task, id: `${task.id}-${digest(task)}` } : task))
  // What is still in conflict has an id of its own.
  const records = yield* smith.submitAll(renamed, ONCE_MORE)
  yield* replace(smith, changed, new Set<string>(renamed.map(({ id }) => id)))
  return records
})

/**
 * Where several nodes share their tasks a place says nothing, because each has a config of its own: what has no id is named
 * by its content too. So the same config on several nodes asks for the same tasks, and none cancels those of another.
 */
const among = (smith: MisterSmith["Service"], tasks: ReadonlyArray<Named>, only: ReadonlySet<string> | undefined) => {
  const places = new Map<string, string>(
    tasks.flatMap((task, index) => (isPlace(task, index) ? [[task.id, `${task.id}-${digest(task)}`]] : []))
  )
  const name = (id: string) => TaskId.make(places.get(id) ?? id)
  const edge = (on: NonNullable<TaskSpec["after"]>[number]) =>
    typeof on === "string" ? name(on) : { ...on, task: name(on.task) }
  const named = ({ after, session, ...task }: Named) => ({
    ...task,
    id: name(task.id),
    ...(after === undefined ? {} : { after: after.map(edge) }),
    ...(session === undefined
      ? {}
      : { session: typeof session === "string" ? name(session) : { ...session, of: name(session.of) } })
  })
  return smith.submitAll(tasks.filter(({ id }) => only === undefined || only.has(id)).map(named), ONCE_MORE)
}

const isPlace = ({ id }: Named, index: number) => id === `task-${index + 1}`

const digest = ({ agent, prompt, schedule, schema, type }: Named) =>
  createHash("sha256")
    .update(JSON.stringify([type, agent, prompt, schema, ...(schedule === undefined ? [] : [schedule])]))
    .digest("hex")
    .slice(0, 8)

/** Cancels what is unfinished of earlier texts in these places. */
const replace = Effect.fnUntraced(function* (
  smith: MisterSmith["Service"],
  changed: ReadonlyArray<Named>,
  wanted: ReadonlySet<string>
) {
  const places = new Set<string>(changed.map(({ id }) => id))
  const unfinished = yield* smith.tasksWhere({ states: open, limit: Number.MAX_SAFE_INTEGER })
  for (const { id } of unfinished) {
    const first = seriesOf(id)
    if (wanted.has(first) || !places.has(first.replace(/-[0-9a-f]{8}$/, ""))) continue
    yield* Effect.catchTag(
      smith.cancel(id, "another text stands in its place in the config"),
      ["TaskEnded", "TaskUnknown"],
      () => Effect.void
    )
  }
})
