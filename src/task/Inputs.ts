/**
 * The files that tasks come with, from when a task is accepted until it has succeeded or is forgotten.
 *
 * Promises: a task that is accepted has a copy of its files on the disk, so that its submitter may remove them; one whose
 * files cannot be read is not accepted. While an attempt runs, another copy lies in its agent's workspace. A copy of which
 * no task knows, because something was cut off, is gone after the next start. The copying is InputFiles.ts.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { Context, Effect, Layer, type Scope, Semaphore, Stream } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import { FilesLost } from "../agent/AgentError.ts"
import { TaskId } from "../domain/Ids.ts"
import { isFinal } from "../domain/Task.ts"
import { EventBus } from "../event/EventBus.ts"
import { nameOf, pathOf, withPaths } from "./FileSpec.ts"
import * as InputFiles from "./InputFiles.ts"
import { FileUnusable, type LedgerUnusable } from "./TaskError.ts"
import { type SubmitOptions, TaskLedger } from "./TaskLedger.ts"
import type { TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"

/** In the data directory. */
const DIRECTORY = "inputs"

type Specs = ReadonlyArray<TaskSpec>

export class Inputs extends Context.Service<
  Inputs,
  {
    /** Hands the tasks to `accept` when the files of those that are new are copied. */
    accepting<A, E>(
      specs: Specs,
      options: SubmitOptions | undefined,
      accept: (specs: Specs) => Effect.Effect<A, E>
    ): Effect.Effect<A, E | FileUnusable | LedgerUnusable>
    /** Lays the files of a task into a workspace until the Scope closes; answers with what its agent is to be told. */
    lay(task: string, files: TaskSpec["files"], workspace: string): Effect.Effect<string, FilesLost, Scope.Scope>
  }
>()("mister-smith/task/Inputs") {
  /** Relative paths begin at `baseDir`. */
  static readonly layer = (dataDir: string, baseDir: string) =>
    Layer.effect(this, make(join(dataDir, DIRECTORY), baseDir))
}

const make = Effect.fnUntraced(function* (root: string, baseDir: string) {
  const ledger = yield* TaskLedger
  const random = yield* SecureRandom
  const events = yield* (yield* EventBus).subscribe
  /** Held while copies are made or removed; another while they are laid into workspaces. */
  const keeping = yield* Semaphore.make(1)
  const laying = yield* Semaphore.make(1)
  /** Those of which there are copies. */
  const held = new Set<string>()
  /** Those of them that can be asked for again, in the order in which they ended. */
  const ended = new Set<string>()

  const find = (id: string) => Effect.catchTag(ledger.get(id), "TaskUnknown", () => Effect.undefined)
  const drop = (id: string) =>
    Effect.tryPromise(() => InputFiles.drop(root, id)).pipe(
      Effect.tap(() => Effect.sync(() => [held, ended].map((ids) => ids.delete(id)))),
      Effect.catch((error) => Effect.logWarning(`the files of task ${id} could not be removed: ${error.message}`))
    )

  const recover = Effect.gen(function* () {
    // Where no task ever had a file, the start waits for no disk.
    if (!existsSync(root)) return
    const ids = yield* Effect.promise(() => InputFiles.kept(root))
    const over: Array<readonly [id: string, at: number]> = []
    for (const id of ids) {
      const record = yield* find(id)
      if (record === undefined || record.state === "succeeded") yield* drop(id)
      else {
        held.add(id)
        if (isFinal(record.state)) over.push([id, record.endedAt ?? 0])
      }
    }
    for (const [id] of over.sort(([, a], [, b]) => a - b)) ended.add(id)
  })
  yield* recover
  // What ended last may not have been told yet.
  yield* Effect.addFinalizer(() =>
    Effect.forEach(
      held,
      (id) => Effect.flatMap(find(id), (record) => (record?.state === "succeeded" ? drop(id) : Effect.void)),
      { discard: true }
    ).pipe(Effect.ignore)
  )

  /** The oldest go first when the ledger forgets. */
  const forgotten = Effect.gen(function* () {
    for (const id of ended) {
      if ((yield* find(id)) !== undefined) return
      yield* drop(id)
    }
  })
  yield* events.pipe(
    Stream.filter((event) => event.type === "task.state"),
    Stream.runForEach(({ task, to }) => {
      const over = isFinal(to)
      if (held.size === 0 || (!over && !ended.has(task))) return Effect.void
      return Effect.gen(function* () {
        if (held.has(task)) {
          // What is true now: the event may be late.
          const record = yield* find(task)
          ended.delete(task)
          if (record === undefined || record.state === "succeeded") yield* drop(task)
          else if (isFinal(record.state)) ended.add(task)
        }
        if (over) yield* forgotten
      }).pipe(
        keeping.withPermits(1),
        Effect.catch((error) => Effect.logWarning(error.message))
      )
    }),
    Effect.forkScoped
  )

  const keep = (id: string, files: NonNullable<TaskSpec["files"]>) =>
    Effect.tryPromise({
      try: () =>
        InputFiles.keep(
          root,
          id,
          files.map((file) => ({ path: pathOf(file), name: nameOf(file) }))
        ),
      catch: (error) =>
        error instanceof InputFiles.Uncopied
          ? new FileUnusable({ task: id, file: error.path, reason: error.reason })
          : new FileUnusable({ task: id, file: root, reason: InputFiles.reasonOf(error) })
    })

  return Inputs.of({
    accepting: Effect.fn("Inputs.accepting")(function* <A, E>(
      given: Specs,
      options: SubmitOptions | undefined,
      accept: (specs: Specs) => Effect.Effect<A, E>
    ) {
      if (!given.some(({ files = [] }) => files.length > 0)) return yield* accept(given)
      const specs: Array<TaskSpec> = []
      for (const spec of given)
        specs.push(
          spec.files === undefined
            ? spec
            : { ...withPaths(spec, baseDir), id: spec.id ?? TaskId.make(yield* random.uuidV7()) }
        )
      const made = new Set<string>()
      const copies = Effect.gen(function* () {
        for (const { files = [], id } of specs) {
          if (id === undefined || files.length === 0 || made.has(id)) continue
          const record = yield* find(id)
          if (record === undefined || !held.has(id)) {
            if (record !== undefined && !redone(record, options)) continue
            yield* keep(id, files)
            made.add(id)
            // Before it is accepted: it may have ended when that is told.
            held.add(id)
          } else if (redone(record, options)) {
            // With the files as they are now; where they are gone, with those of the first time.
            yield* Effect.ignore(keep(id, files))
          }
        }
      })
      return yield* Effect.andThen(copies, accept(specs)).pipe(
        // Nothing was accepted.
        Effect.onError(() => Effect.forEach(made, drop, { discard: true })),
        Effect.uninterruptible,
        keeping.withPermits(1)
      )
    }),
    lay: Effect.fn("Inputs.lay")(function* (task: string, files: TaskSpec["files"] = [], workspace: string) {
      const place = InputFiles.placeIn(task)
      yield* Effect.acquireRelease(
        Effect.tryPromise({
          try: () => InputFiles.lay(root, task, workspace),
          catch: (error) =>
            error instanceof InputFiles.Uncopied
              ? new FilesLost({ task, file: error.path, reason: error.reason })
              : new FilesLost({ task, file: join(workspace, place), reason: InputFiles.reasonOf(error) })
        }).pipe(laying.withPermits(1)),
        () =>
          Effect.tryPromise(() => InputFiles.takeUp(root, task, join(workspace, place))).pipe(
            laying.withPermits(1),
            Effect.catch((error) => Effect.logWarning(`${join(workspace, place)} is left: ${error.message}`))
          )
      )
      return told(files.map((file) => `${place}/${nameOf(file)}`))
    })
  })
})

/** As the ledger decides it. */
const redone = ({ state }: TaskRecord, options: SubmitOptions | undefined) =>
  options?.again === true && isFinal(state) && state !== "succeeded"

const told = (paths: ReadonlyArray<string>) =>
  [
    "",
    "",
    "This task comes with files, which lie in your working directory while you work on it:",
    ...paths.map((path) => `- ${path}`)
  ].join("\n")
