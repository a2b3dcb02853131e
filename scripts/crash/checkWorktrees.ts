/**
 * Looks, by git and the disk alone, what has become of what the fake CLIs have done in worktrees: what a crash may never
 * lose and never leave half done. The fakes write down each commit and each file when they have made it
 * (test/fixtures/fake-claude.pl); the ledger says which tasks have succeeded.
 */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { BASE, git, linesOf, maybe, PREFIX, type Repository, theirs } from "./Repository.ts"

/** What a task does in its worktree. */
export interface Doing {
  readonly id: string
  /** The file that it commits. */
  readonly commit: string | undefined
  /** The file that it leaves in no commit. */
  readonly leave: string | undefined
}

export interface WorktreeInput {
  readonly dataDir: string
  /** Of the fake CLIs. */
  readonly journal: string
  readonly repository: Repository
  readonly doing: ReadonlyArray<Doing>
  /** How many are kept at most (workspaces.kept). */
  readonly kept: number
}

export interface WorktreeReport {
  readonly problems: ReadonlyArray<string>
  /** Of tasks that have succeeded in a worktree. */
  readonly succeeded: number
  /** Made by agents, by attempts that were cut off too. */
  readonly commits: number
  readonly files: number
  /** Still there. */
  readonly worktrees: number
  readonly branches: number
  readonly archives: number
}

interface Made {
  readonly task: string
  readonly run: string
  /** A commit, or the name of a file. */
  readonly what: string
  readonly cwd: string
}

interface Found {
  readonly path: string
  readonly branch: string | undefined
  readonly locked: boolean
  readonly prunable: boolean
}

const ARCHIVES = "refs/mister-smith/archive/"

export const doingOf = (tasks: ReadonlyArray<{ readonly id: string; readonly prompt: string }>): ReadonlyArray<Doing> =>
  tasks.map(({ id, prompt }) => ({
    id,
    commit: /\[commit ([^\]]+)\]/.exec(prompt)?.[1],
    leave: /\[leave ([^\]]+)\]/.exec(prompt)?.[1]
  }))

/** Of a line: what was made, in which task and run, what it is, and where. */
const LINE = /^(commit|leave) (\S+) (\S+) (\S+) (.+)$/

const made = (journal: string, problems: Array<string>) => {
  const commits: Array<Made> = []
  const files: Array<Made> = []
  const file = join(journal, "places")
  for (const line of existsSync(file) ? linesOf(readFileSync(file, "utf8")) : []) {
    const [, kind, task = "", run = "", what = "", cwd = ""] = LINE.exec(line) ?? []
    if (kind === undefined) problems.push(`the journal of places has "${line}"`)
    else (kind === "commit" ? commits : files).push({ task, run, what, cwd })
  }
  return { commits, files }
}

/** Where workspaces are. */
const rootOf = (dataDir: string) => join(realpathSync(dataDir), "workspaces")

/** Their directories. */
const placesIn = (root: string) => (existsSync(root) ? readdirSync(root).filter((name) => name !== ".records") : [])

const listed = (repository: string): ReadonlyArray<Found> =>
  git(repository, ["worktree", "list", "--porcelain"])
    .split(/\n\n+/)
    .flatMap((block) => {
      const of = (key: string) => new RegExp(`^${key}(?: (.*))?$`, "m").exec(block)
      const path = of("worktree")?.[1]
      if (path === undefined) return []
      return [{ path, branch: of("branch")?.[1], locked: of("locked") !== null, prunable: of("prunable") !== null }]
    })

const recordsIn = (root: string): ReadonlyArray<{ readonly name: string; readonly text: string }> => {
  const dir = join(root, ".records")
  if (!existsSync(dir)) return []
  return readdirSync(dir).flatMap((name) => {
    try {
      return [{ name, text: readFileSync(join(dir, name), "utf8") }]
    } catch {
      // Gone meanwhile.
      return []
    }
  })
}

interface Record {
  readonly name: string
  readonly state: string
  readonly path: string
  readonly overSince?: number
}
const isRecord = ({ name }: { readonly name: string }) => name.endsWith(".json")

/**
 * What the node has not come to an end with of all that it clears away by itself. Where there is nothing, nothing is half
 * done, what may go has gone, and what stays is within the limit. Asked while it runs, before it is stopped.
 */
export const untidy = ({ dataDir, kept }: Pick<WorktreeInput, "dataDir" | "kept">): string | undefined => {
  const records: Array<Record> = []
  for (const { name, text } of recordsIn(rootOf(dataDir))) {
    if (!isRecord({ name }) || text === "") return `${name} is being written`
    records.push(JSON.parse(text))
  }
  const there = records.filter(({ state }) => state === "ready")
  const under = records.find(({ state }) => state !== "ready" && state !== "away")
  if (under !== undefined) return `${under.path} is ${under.state}`
  if (there.length > kept) return `${there.length} are kept`
  const used = there.find(({ overSince }) => overSince === undefined)
  if (used !== undefined) return `${used.path} is in use`
  const goes = there.find(({ path }) => mayGo(path))
  return goes === undefined ? undefined : `${goes.path} may go`
}

/** Looked at in a copy: a git that stands in the place itself is a process that works there, for which the node leaves it. */
const mayGo = (path: string): boolean => {
  const copy = mkdtempSync(join(tmpdir(), "mister-smith-look-"))
  try {
    cpSync(path, copy, { recursive: true })
    return (
      maybe(copy, "--no-optional-locks", "status", "--porcelain") === "" &&
      maybe(copy, "merge-base", "--is-ancestor", "HEAD", BASE) !== undefined
    )
  } catch {
    // It goes just now.
    return true
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

export const checkWorktrees = (input: WorktreeInput): WorktreeReport => {
  const { dataDir, doing, kept, repository } = input
  const problems: Array<string> = []
  const root = rootOf(dataDir)
  const common = resolve(repository.path, git(repository.path, ["rev-parse", "--git-common-dir"]))
  const { commits, files } = made(input.journal, problems)

  // What was made is where it can be had.
  const ancestors = new Map<string, ReadonlySet<string>>()
  const holds = (ref: string, commit: string) => {
    const known = ancestors.get(ref) ?? new Set(linesOf(maybe(repository.path, "rev-list", ref) ?? ""))
    ancestors.set(ref, known)
    return known.has(commit)
  }
  const all = linesOf(git(repository.path, ["for-each-ref", "--format=%(refname)"]))
  const archivesOf = (task: string) =>
    all.filter((ref) => ref === ARCHIVES + task || ref.startsWith(`${ARCHIVES}${task}.`))
  const branchOf = (task: string) => `refs/heads/${PREFIX}${task}`
  for (const { cwd, task } of [...commits, ...files])
    if (cwd !== join(root, task)) problems.push(`${task}: it was worked on in ${cwd}, which is not its own`)
  for (const { run, task, what } of commits)
    if (![branchOf(task), ...archivesOf(task), `refs/heads/${BASE}`].some((ref) => holds(ref, what)))
      problems.push(`${task}: its commit ${what} of ${run} is in no branch and in no archive`)
  for (const task of new Set(commits.map((each) => each.task))) {
    const last = commits.findLast((each) => each.task === task)?.what ?? ""
    if (!all.includes(branchOf(task)) && !holds(`refs/heads/${BASE}`, last))
      problems.push(`${task}: its branch is gone, and its commit ${last} is not in ${BASE}`)
  }
  for (const { cwd, run, task, what } of files) {
    const texts = [
      existsSync(join(cwd, what)) ? readFileSync(join(cwd, what), "utf8") : undefined,
      ...archivesOf(task).map((ref) => maybe(repository.path, "show", `${ref}:${what}`))
    ]
    if (!texts.some((text) => linesOf(text ?? "").includes(`${task} ${run}`)))
      problems.push(`${task}: what ${run} has left in ${what} is neither on the disk nor in an archive`)
  }

  // Who has succeeded has done all of it.
  const runs = succeededRuns(dataDir)
  const done = doing.filter(({ id }) => runs.has(id))
  for (const { commit, id, leave } of done) {
    const isOf = (each: Made) => each.task === id && each.run === runs.get(id)
    if (commit !== undefined && !commits.some(isOf)) problems.push(`${id}: it has succeeded without its commit`)
    if (leave !== undefined && !files.some(isOf)) problems.push(`${id}: it has succeeded without its file`)
  }

  // Nothing is half done.
  const worktrees = listed(repository.path).filter(({ path }) => path.startsWith(`${root}/`))
  for (const { branch, locked, path, prunable } of worktrees) {
    const name = path.slice(root.length + 1)
    if (!existsSync(path)) problems.push(`${name}: git has a worktree without a directory`)
    if (locked) problems.push(`${name}: its worktree is locked`)
    if (prunable) problems.push(`${name}: git would prune its worktree`)
    if (branch !== branchOf(name)) problems.push(`${name}: its worktree is on ${branch}`)
  }
  const places = placesIn(root)
  for (const name of places) {
    const path = join(root, name)
    if (!worktrees.some((each) => each.path === path)) {
      problems.push(`${name}: there is a directory, and git has no such worktree`)
      continue
    }
    const { leave } = doing.find(({ id }) => id === name) ?? {}
    const status = maybe(path, "--no-optional-locks", "status", "--porcelain", "--untracked-files=all")
    const rest = linesOf(status ?? "git knows nothing of it").filter((line) => line !== `?? ${leave}`)
    if (rest.length > 0) problems.push(`${name}: it is half made, or half removed: ${rest.slice(0, 5)}`)
  }
  if (places.length > kept) problems.push(`${places.length} workspaces are kept, ${kept} may be`)
  const states = new Map<string, string>()
  for (const { name, text } of recordsIn(root)) {
    if (!isRecord({ name })) {
      problems.push(`${name} is left among the records of workspaces`)
      continue
    }
    const record: Record = JSON.parse(text)
    states.set(record.name, record.state)
    if (record.state !== "ready" && record.state !== "away")
      problems.push(`${record.name}: it is still ${record.state}`)
    if ((record.state === "ready") !== places.includes(record.name))
      problems.push(`${record.name}: it is recorded as ${record.state}`)
  }
  for (const name of places) if (!states.has(name)) problems.push(`${name}: there is a directory without a record`)
  for (const lock of readdirSync(common, { recursive: true, encoding: "utf8" }))
    if (lock.endsWith(".lock")) problems.push(`git's ${lock} is left`)
  const broken = maybe(repository.path, "fsck", "--connectivity-only", "--no-dangling", "--no-progress")
  if (broken === undefined || broken !== "") problems.push(`git fsck: ${broken ?? "the repository is damaged"}`)

  // What is somebody else's is as it was.
  const now = theirs(repository.path, repository.outside)
  for (const [what, was] of repository.before) {
    if (now.get(what) !== was) problems.push(`${what} was somebody else's, and is not as it was`)
  }
  for (const what of now.keys())
    if (!repository.before.has(what)) problems.push(`${what} has come among what is somebody else's`)

  return {
    problems,
    succeeded: done.length,
    commits: commits.length,
    files: files.length,
    worktrees: places.length,
    branches: doing.filter(({ id }) => all.includes(branchOf(id))).length,
    archives: all.filter((ref) => ref.startsWith(ARCHIVES)).length
  }
}

/** By task: the run that its result is of. */
const succeededRuns = (dataDir: string): ReadonlyMap<string, string> => {
  const db = new DatabaseSync(join(dataDir, "ledger.db"), { readOnly: true })
  try {
    const rows = db
      .prepare("SELECT t.id, r.result FROM tasks t JOIN results r ON r.seq = t.seq WHERE t.state = 'succeeded'")
      .all()
    return new Map(
      rows.map(({ id, result }) => [
        String(id),
        String((JSON.parse(String(result)) as { readonly text: string }).text.split(" ")[3])
      ])
    )
  } finally {
    db.close()
  }
}
