/**
 * The places that tasks have for themselves: made when a task begins, the same at each attempt, and cleared away when the
 * task has ended.
 *
 * Promises: two tasks never share one; what was begun when the runtime died is finished or undone at the next start, from
 * what is there; nothing is removed that is not in the base, pushed, or held by a ref, and nothing in which anybody works;
 * a directory that is no worktree is removed only where it is empty. What is kept beyond the limits and cannot be archived
 * makes room for nothing else: then the next task is refused its place. How a worktree is handled is Worktree.ts; what has
 * been begun, WorkspaceJournal.ts; which tasks have ended, only the caller knows.
 */
import { existsSync, lstatSync, mkdirSync, rmdirSync } from "node:fs"
import { join } from "node:path"
import { Clock, Context, Duration, Effect, Layer, Option, PubSub, type Scope, Semaphore, Stream } from "effect"
import type { TaskWorkspace } from "../domain/Task.ts"
import { brief } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"
import { ProcessTree } from "../process/ProcessTree.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import { AgentHost } from "./AgentHost.ts"
import * as Git from "./Git.ts"
import * as StaleLocks from "./StaleLocks.ts"
import { NoRoom, WorkspaceBlocked, type WorkspaceError, WorkspacesFull } from "./WorkspaceError.ts"
import * as WorkspaceJournal from "./WorkspaceJournal.ts"
import * as WorkspaceLocks from "./WorkspaceLocks.ts"
import * as WorkspaceRoom from "./WorkspaceRoom.ts"
import { type OwnSpec, TASK, type WorkspaceSettings } from "./WorkspaceSpec.ts"
import * as Worktree from "./Worktree.ts"
import * as WorktreeArchive from "./WorktreeArchive.ts"
import * as WorktreeView from "./WorktreeView.ts"

type WorkspaceRecord = WorkspaceJournal.WorkspaceRecord

export class Workspaces extends Context.Service<
  Workspaces,
  {
    /** What an earlier run has left half made or half removed is finished or undone. Before any task gets its place. */
    readonly recover: Effect.Effect<void>
    /** The place of this task, which nobody else gets and nobody removes until the Scope closes. */
    acquire(task: string, agent: string, spec: OwnSpec): Effect.Effect<string, WorkspaceError, Scope.Scope>
    /** Where work stands in it. */
    facts(path: string, spec: OwnSpec): Effect.Effect<TaskWorkspace>
    /** Clears away what tasks that are over have left, as far as it may, and keeps the rest within the limits. */
    tidy(isOver: (task: string) => Effect.Effect<boolean>): Effect.Effect<void>
    /** Says that a place was left, at least once for any number. Live once the Effect completes. */
    readonly changes: Effect.Effect<Stream.Stream<void>, never, Scope.Scope>
  }
>()("mister-smith/agent/Workspaces") {
  static readonly layer = (settings: WorkspaceSettings) => Layer.effect(this, make(settings))
}

const isWorktree = (record: WorkspaceRecord): record is WorktreeView.WorktreeRecord => record.git !== undefined

/** The same place for the same kind of place; a task that another agent goes on with may get another. */
const fits = ({ git, kind }: WorkspaceRecord, spec: OwnSpec) =>
  kind === spec.kind && (spec.kind === "fresh" || git?.repository === spec.repository)

/** Places of one task, at most. */
const MAX_PLACES = 100

const make = Effect.fn("Workspaces.make")(function* (settings: WorkspaceSettings) {
  const bus = yield* EventBus
  const host = yield* AgentHost
  const { step } = yield* Git.Steps
  const git = Git.make(yield* ProcessTree, host.environment, step)
  const journal = WorkspaceJournal.make(host.settings.dataDir)
  const changed = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)
  const { alone, held, hold, ifFree } = WorkspaceLocks.make(PubSub.publish(changed, undefined))
  const counting = yield* Semaphore.make(1)
  const known = yield* Effect.try({
    try: () => journal.read(),
    catch: (error) => new WorkspaceBlocked({ path: journal.root, reason: brief(String(error)) })
  })
  const records = new Map(known.records.map((record) => [record.name, record]))
  /** Who says which tasks are over, once it has been heard. */
  let judge: ((task: string) => Effect.Effect<boolean>) | undefined
  /** Whose end was seen in this run. */
  const endedHere = new Set<string>()
  /** Bytes, of those that nobody works in. */
  const sizes = new Map<string, number>()

  // 1. What is true is on the disk before it is acted on.

  const onDisk = (path: string, change: () => void) =>
    Effect.try({
      try: change,
      catch: (error) => {
        const reason = brief(error instanceof Error ? error.message : String(error))
        return /ENOSPC|EDQUOT/.test(reason) ? new NoRoom({ path, reason }) : new WorkspaceBlocked({ path, reason })
      }
    })
  const write = <R extends WorkspaceRecord>(record: R) =>
    Effect.gen(function* () {
      yield* step(`before writing ${record.state}`)
      yield* onDisk(journal.root, () => journal.write(record))
      records.set(record.name, record)
      yield* step(`after writing ${record.state}`)
      return record
    })
  const forget = ({ name }: WorkspaceRecord) =>
    Effect.gen(function* () {
      yield* step("before forgetting")
      yield* onDisk(journal.root, () => journal.remove(name))
      records.delete(name)
      sizes.delete(name)
      endedHere.delete(name)
    })

  // 2. Made: the intent, the deed, the record of it.

  const nameFor = (task: string) => {
    for (let number = 1; number <= MAX_PLACES; number++) {
      const name = number === 1 ? task : `${task}.${number}`
      if (!records.has(name)) return name
    }
    return undefined
  }
  const begin = Effect.fnUntraced(function* (task: string, spec: OwnSpec) {
    const name = nameFor(task)
    const path = join(journal.root, name ?? task)
    const blocked = (reason: string) => new WorkspaceBlocked({ path, reason })
    if (name === undefined) return yield* blocked(`the task has ${MAX_PLACES} places already`)
    if (known.unreadable.includes(`${name}.json`)) return yield* blocked("its record cannot be read")
    if (existsSync(path)) return yield* blocked("it is there, and there is no record of it")
    yield* room
    const base = { name, task, kind: spec.kind, path, madeAt: yield* Clock.currentTimeMillis }
    if (spec.kind === "fresh") return yield* built(yield* write({ ...base, state: "making" }))
    const branch = spec.branch.replaceAll(TASK, name)
    return yield* alone(
      spec.repository,
      Effect.gen(function* () {
        const plan = yield* Worktree.plan(git, spec, branch)
        return yield* built(yield* write({ ...base, state: "making", git: plan }))
      })
    )
  })
  /** Does what is meant. Where that fails, it is undone. */
  const built = Effect.fnUntraced(function* (record: WorkspaceRecord) {
    if (!isWorktree(record)) {
      yield* onDisk(record.path, () => mkdirSync(record.path, { recursive: true, mode: 0o700 }))
    } else {
      crashPoint("workspace.make.before")
      yield* Worktree.add(git, record).pipe(Effect.tapError(() => Effect.ignore(finish(record))))
      crashPoint("workspace.make.after")
    }
    return yield* write(ready(record))
  })
  const ready = ({ git, overSince: _, ...record }: WorkspaceRecord): WorkspaceRecord => {
    if (git === undefined) return { ...record, state: "ready" }
    const { archive: _archive, commit: _commit, head: _head, ...kept } = git
    return { ...record, state: "ready", git: kept }
  }
  /** One that was put away, or whose directory somebody has removed. */
  const again = Effect.fnUntraced(function* (record: WorkspaceRecord) {
    yield* room
    const { overSince: _, ...rest } = record
    if (!isWorktree(record)) return yield* built(yield* write({ ...rest, state: "making" }))
    return yield* alone(
      record.git.repository,
      Effect.gen(function* () {
        const at = yield* git.maybe(record.git.repository, ["rev-parse", "--verify", "--quiet", record.git.branch])
        const commit = record.git.commit ?? at ?? record.git.start
        return yield* built(yield* write({ ...rest, state: "making", git: { ...record.git, commit } }))
      })
    )
  })

  // 3. Finished or undone, from what is there.

  const finish = Effect.fnUntraced(function* (record: WorkspaceRecord) {
    if (!isWorktree(record)) {
      // Nobody has worked in it, or it was empty.
      return existsSync(record.path) ? yield* Effect.asVoid(write(ready(record))) : yield* forget(record)
    }
    const { _tag } = yield* Worktree.resume(git, journal, record)
    if (_tag === "Gone") return yield* gone(record)
    const { overSince } = record
    yield* write({ ...ready(record), ...(overSince === undefined ? {} : { overSince }) })
  })
  /** The directory is gone. What the branch or a ref still holds is remembered, for another attempt at the task. */
  const gone = Effect.fnUntraced(function* (record: WorktreeView.WorktreeRecord) {
    const { archive, branch, commit } = record.git
    const isNew = record.state === "making" && archive === undefined && commit === undefined
    const dropped = isNew || (record.state === "removing" && (yield* Worktree.dropBranch(git, record)))
    crashPoint("workspace.branch.after")
    if (dropped && archive === undefined) yield* forget(record)
    else yield* write({ ...record, state: "away" })
    sizes.delete(record.name)
    return dropped ? undefined : branch
  })
  const settle = Effect.fnUntraced(function* (record: WorkspaceRecord) {
    crashPoint("workspace.settle.before")
    yield* isWorktree(record) ? alone(record.git.repository, finish(record)) : finish(record)
    crashPoint("workspace.settle.after")
  })
  /** Whatever is wrong with one, the others are seen to. */
  const told = <A>(record: Pick<WorkspaceRecord, "path" | "task">, use: Effect.Effect<A, WorkspaceError>) =>
    Effect.catch(use, ({ message }) => kept(record, message))
  const kept = ({ path, task }: Pick<WorkspaceRecord, "path" | "task">, why: string) =>
    bus.publish({ type: "workspace.kept", task, path, why: brief(why) })

  // 4. Cleared away.

  /** Removes it, or says why not. With `archiving`, what is in no commit and no branch is put under a ref first. */
  const clear = Effect.fnUntraced(function* (
    record: WorkspaceRecord,
    archiving: boolean
  ): Effect.fn.Return<string | undefined, WorkspaceError> {
    if (!isWorktree(record)) return yield* clearFresh(record)
    const { base, keep } = record.git
    if (!existsSync(record.path)) {
      yield* finish(yield* write({ ...record, state: "removing" }))
      return undefined
    }
    if (keep === "always" && !archiving) return "the agent's workspace.keep is always"
    // Cheap, and most often the answer.
    const loose = !archiving && (yield* Worktree.settled(git, record)) === undefined
    const why = yield* WorktreeView.untouchable(git, record)
    if (why !== undefined) return why
    if (loose) return `its commits are neither in ${base} nor pushed`
    const taken = yield* WorktreeArchive.snapshot(git, journal, record)
    if (!taken.clean && !archiving) return "it has changes that are not committed"
    const isSettled = taken.clean && (yield* Worktree.settled(git, record)) !== undefined
    if (!isSettled && !archiving) return `its commits are neither in ${base} nor pushed`
    const saved = isSettled ? undefined : yield* WorktreeArchive.archive(git, record, taken)
    const removing = yield* write({
      ...record,
      state: "removing",
      git: { ...record.git, head: taken.on, commit: taken.head, ...(saved === undefined ? {} : { archive: saved.ref }) }
    })
    const refused = yield* Effect.gen(function* () {
      crashPoint("workspace.remove.before")
      if (saved !== undefined && !taken.clean) yield* WorktreeArchive.standOn(git, record.path, saved.commit)
      yield* Worktree.remove(git, removing)
      crashPoint("workspace.remove.after")
    }).pipe(Effect.flip, Effect.option)
    if (Option.isSome(refused)) {
      yield* finish(removing)
      if (records.get(record.name)?.state === "ready") return refused.value.message
    }
    const branch = Option.isSome(refused) ? record.git.branch : yield* gone(removing)
    yield* bus.publish({ type: "workspace.removed", task: record.task, path: record.path, branch, archive: saved?.ref })
    return undefined
  })
  const clearFresh = Effect.fnUntraced(function* (record: WorkspaceRecord) {
    const { path, task } = record
    if (existsSync(path)) {
      const refused = yield* Effect.option(Effect.flip(onDisk(path, () => rmdirSync(path))))
      if (Option.isSome(refused))
        return /ENOTEMPTY|EEXIST/.test(refused.value.message) ? "it is not empty" : refused.value.message
    }
    yield* forget(record)
    yield* bus.publish({ type: "workspace.removed", task, path, branch: undefined, archive: undefined })
    return undefined
  })
  const inTurn = (record: WorkspaceRecord, archiving: boolean) =>
    isWorktree(record) ? alone(record.git.repository, clear(record, archiving)) : clear(record, archiving)

  /** Whose task is over goes, or is said to be kept. */
  const sweep = Effect.fnUntraced(function* (isOver: (task: string) => Effect.Effect<boolean>) {
    for (const { name, task } of [...records.values()]) {
      const look = Effect.gen(function* () {
        const record = records.get(name)
        if (record === undefined || record.state === "away") return
        if (record.state !== "ready") return yield* settle(record)
        if (record.overSince !== undefined || !(yield* isOver(task))) return
        const ended = yield* write({ ...record, overSince: yield* Clock.currentTimeMillis })
        endedHere.add(name)
        const why = yield* inTurn(ended, false)
        if (why !== undefined) yield* kept(ended, why)
      })
      yield* ifFree(
        task,
        Effect.suspend(() => told(records.get(name) ?? { path: name, task }, look))
      )
    }
  })

  // 5. Within the limits.

  /** Those that nobody works in. */
  const idle = () => [...records.values()].filter(({ state, task }) => state === "ready" && !held(task))
  const measured = Effect.fnUntraced(function* () {
    let bytes = 0
    for (const { name, path } of idle()) {
      const size = sizes.get(name) ?? (yield* WorkspaceRoom.look(path)).bytes
      if (records.has(name)) sizes.set(name, size)
      bytes += size
    }
    return bytes
  })
  const exceeded = Effect.fnUntraced(function* (more: number) {
    const count = idle().length
    if (count + more > settings.kept) return `workspaces.kept (${settings.kept})`
    return (yield* measured()) > settings.size ? `workspaces.size (${settings.size} bytes)` : undefined
  })
  /** Archives the oldest, as long as there are too many; answers with the limit that is still exceeded. */
  const shrink = Effect.fnUntraced(function* (more: number) {
    for (const record of idle()) {
      // Somebody has made room.
      if (existsSync(record.path) || record.overSince === undefined) continue
      yield* ifFree(record.task, told(record, inTurn(record, false)))
    }
    const now = yield* Clock.currentTimeMillis
    const since = ({ overSince }: WorkspaceRecord) => overSince ?? now
    const old = (record: WorkspaceRecord) =>
      settings.age !== undefined && now - since(record) >= Duration.toMillis(settings.age)
    const ended = idle()
      .filter((record) => record.overSince !== undefined && isWorktree(record))
      .sort((a, b) => since(a) - since(b))
    for (const record of ended) {
      const limit = yield* exceeded(more)
      if (limit === undefined && !old(record)) break
      const cleared = Effect.gen(function* () {
        const current = records.get(record.name)
        if (current?.state !== "ready" || current.overSince === undefined) return
        const why = yield* inTurn(current, true)
        if (why !== undefined) yield* kept(current, `${limit ?? "workspaces.age"} is exceeded, but ${why}`)
      })
      yield* ifFree(record.task, told(record, cleared))
    }
    return yield* exceeded(more)
  }, counting.withPermit)
  const room = Effect.gen(function* () {
    if ((yield* shrink(1)) === undefined) return
    // Of some it may not be known yet that their task is over.
    if (judge !== undefined) yield* sweep(judge)
    const limit = yield* shrink(1)
    if (limit === undefined) return
    return yield* new WorkspacesFull({ kept: idle().length, bytes: yield* measured(), limit })
  })

  // 6. What an earlier run has left half done. It is seen to before any agent works.

  const recover = Effect.gen(function* () {
    if (known.unreadable.length > 0) {
      yield* Effect.logWarning(`records of workspaces that cannot be read: ${known.unreadable.slice(0, 10).join(", ")}`)
    }
    const stale = yield* Effect.orElseSucceed(StaleLocks.drop(git, known.records.filter(isWorktree)), () => [])
    if (stale.length > 0) yield* Effect.logWarning(`removed, left by a git that was killed: ${brief(stale.join(", "))}`)
    for (const record of known.records) {
      if (record.state === "making" || record.state === "removing") yield* told(record, settle(record))
    }
  })
  return Workspaces.of({
    recover,
    acquire: Effect.fn("Workspaces.acquire")(function* (task, agent, spec) {
      yield* hold(task)
      const find = () => [...records.values()].find((record) => record.task === task && fits(record, spec))
      const half = find()
      if (half?.state === "making" || half?.state === "removing") yield* settle(half)
      const found = find()
      if (found !== undefined) sizes.delete(found.name)
      if (found?.state === "ready" && existsSync(found.path)) {
        if (!lstatSync(found.path).isDirectory()) {
          return yield* new WorkspaceBlocked({ path: found.path, reason: "it is not a directory any more" })
        }
        if (found.overSince !== undefined) yield* write(ready(found))
        return found.path
      }
      const made = found === undefined ? yield* begin(task, spec) : yield* again(found)
      yield* bus.publish({
        type: "workspace.made",
        task,
        agent,
        kind: made.kind,
        path: made.path,
        branch: made.git?.branch,
        again: found !== undefined
      })
      return made.path
    }),
    facts: (path, spec) =>
      spec.kind === "fresh"
        ? Effect.succeed({ path })
        : Effect.orElseSucceed(Worktree.factsOf(git, path), (): TaskWorkspace => ({ path })),
    tidy: Effect.fn("Workspaces.tidy")(function* (isOver) {
      const first = judge === undefined
      judge = isOver
      yield* sweep(isOver)
      // Of a run before, perhaps merged since.
      for (const record of first ? idle() : []) {
        if (record.overSince === undefined || endedHere.has(record.name)) continue
        yield* ifFree(record.task, told(record, inTurn(record, false)))
      }
      yield* shrink(0)
    }),
    changes: Effect.map(PubSub.subscribe(changed), Stream.fromSubscription)
  })
})
