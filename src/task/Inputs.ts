/**
 * The files that tasks come with, from when a task is accepted until it has succeeded or is forgotten.
 *
 * Promises: a task that is accepted has a copy of its files on the disk, so that its submitter may remove them; one whose
 * files cannot be read is not accepted. While an attempt runs, another copy lies in its agent's workspace. A copy of which
 * no task knows, because something was cut off, is gone after the next start. The occurrences of a series share one copy,
 * under the id of the first, as long as one of them is open. The copying is InputFiles.ts.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { Context, Effect, Layer, type Scope, Semaphore, Stream } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import { FilesLost } from "../agent/AgentError.ts"
import { seriesOf, TaskId } from "../domain/Ids.ts"
import { isFinal } from "../domain/Task.ts"
import { EventBus } from "../event/EventBus.ts"
import { nameOf, pathOf, withPaths } from "./FileSpec.ts"
import { isHere } from "./Here.ts"
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
    /** Half copies, and those of tasks that are over, go. Before any task is submitted. */
    readonly recover: Effect.Effect<void, LedgerUnusable>
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
  /** Those of which there are copies; of an occurrence its series. */
  const held = new Set<string>()
  /** Those of them that can be asked for again, in the order in which they ended. */
  const ended = new Set<string>()

  /** Of a series, the occurrence that ended last in this run. */
  const last = new Map<string, string>()

  const find = (id: string) => Effect.catchTag(ledger.get(id), "TaskUnknown", () => Effect.undefined)
  /** Whose copy it is: a task, of a series the one that has not ended, or else the last that has. */
  const owner = Effect.fnUntraced(function* (key: string) {
    const [open] = yield* ledger.openOf(key)
    return open ?? (yield* find(last.get(key) ?? key))
  })
  const drop = (id: string) =>
    Effect.tryPromise(() => InputFiles.drop(root, id)).pipe(
      Effect.tap(() => Effect.sync(() => [held, ended, last].map((ids) => ids.delete(id)))),
      Effect.catch((error) => Effect.logWarning(`the files of task ${id} could not be removed: ${error.message}`))
    )

  const recover = Effect.gen(function* () {
    // Where no task ever had a file, the start waits for no disk.
    if (!existsSync(root)) return
    const ids = yield* Effect.promise(() => InputFiles.kept(root))
    const over: Array<readonly [id: string, at: number]> = []
    for (const id of ids) {
      const record = yield* owner(id)
      if (record === undefined || record.state === "succeeded") yield* drop(id)
      else {
        held.add(id)
        if (isFinal(record.state)) over.push([id, record.endedAt ?? 0])
      }
    }
    for (const [id] of over.sort(([, a], [, b]) => a - b)) ended.add(id)
  })
  // What ended last may not have been told yet.
  yield* Effect.addFinalizer(() =>
    Effect.forEach(
      held,
      (id) => Effect.flatMap(owner(id), (record) => (record?.state === "succeeded" ? drop(id) : Effect.void)),
      { discard: true }
    ).pipe(Effect.ignore)
  )

  /** The oldest go first when the ledger forgets. */
  const forgotten = Effect.gen(function* () {
    for (const id of ended) {
      if ((yield* owner(id)) !== undefined) return
      yield* drop(id)
    }
  })
  yield* events.pipe(
    Stream.filter((event) => event.type === "task.state"),
    Stream.runForEach(({ task, to }) => {
      const over = isFinal(to)
      const key = seriesOf(task)
      if (held.size === 0 || (!over && !ended.has(key))) return Effect.void
      return Effect.gen(function* () {
        if (held.has(key)) {
          if (over) last.set(key, task)
          // What is true now: the event may be late.
          const record = yield* owner(key)
          ended.delete(key)
          if (record === undefined || record.state === "succeeded") yield* drop(key)
          else if (isFinal(record.state)) ended.add(key)
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
    recover,
    accepting: Effect.fn("Inputs.accepting")(function* <A, E>(
      given: Specs,
      options: SubmitOptions | undefined,
      accept: (specs: Specs) => Effect.Effect<A, E>
    ) {
      if (!given.some(({ files = [] }) => files.length > 0)) return yield* accept(given)
      const specs: Array<TaskSpec> = []
      const { here } = ledger
      for (const { files: [file] = [], id = "", node } of given) {
        if (file !== undefined && !isHere(node, here))
          return yield* new FileUnusable({
            task: id,
            file: pathOf(file),
            reason: `it is here, on node "${here?.node}", and the task is to be done on "${node}"`
          })
      }
      for (const spec of given)
        specs.push(
          spec.files === undefined
            ? spec
            : {
                ...withPaths(spec, baseDir),
                id: spec.id ?? TaskId.make(yield* random.uuidV7()),
                // Here is where its files are.
                ...(here?.shared === true ? { node: here.node } : {})
              }
        )
      const made = new Set<string>()
      const copies = Effect.gen(function* () {
        for (const { files = [], id } of specs) {
          if (id === undefined || files.length === 0) continue
          const key = seriesOf(id)
          if (made.has(key)) continue
          const [open] = yield* ledger.openOf(key)
          const record = open ?? (yield* find(id))
          if (record === undefined || !held.has(key)) {
            if (record !== undefined && !redone(record, options)) continue
            yield* keep(key, files)
            made.add(key)
            // Before it is accepted: it may have ended when that is told.
            held.add(key)
          } else if (redone(record, options)) {
            // With the files as they are now; where they are gone, with those of the first time.
            yield* Effect.ignore(keep(key, files))
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
          try: () => InputFiles.lay(root, seriesOf(task), task, workspace),
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
