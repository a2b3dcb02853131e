/**
 * What `doctor` finds of workspaces that no one speaks for: worktrees without a record, records without a directory,
 * directories that are neither, what git would prune, and archives. Each with what to type. It only looks.
 */
import { existsSync, readdirSync, realpathSync } from "node:fs"
import { dirname, join } from "node:path"
import { Effect, Layer } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Git from "../agent/Git.ts"
import * as WorkspaceJournal from "../agent/WorkspaceJournal.ts"
import { ownOf } from "../agent/WorkspaceSpec.ts"
import { REFS } from "../agent/WorktreeArchive.ts"
import * as WorktreeView from "../agent/WorktreeView.ts"
import type { Config } from "../config/Config.ts"
import { ProcessTree } from "../process/ProcessTree.ts"
import type { Finding } from "./Checkup.ts"

/** Strays of one kind that are named one by one. */
const MAX_NAMED = 20

type Told = Omit<Finding, "about" | "name">
const told = (verdict: Finding["verdict"], says: string, hint?: string): Told => ({
  verdict,
  says,
  ...(hint === undefined ? {} : { hint })
})

/** Nothing where there are no workspaces and no agent asks for any. */
export const workspaces = Effect.fn("WorkspaceCheckup.workspaces")(
  function* (config: Config | undefined, dataDir: string) {
    const journal = WorkspaceJournal.make(dataDir)
    const wanted = (config?.agents ?? []).flatMap(({ workspace }) => ownOf(workspace) ?? [])
    if (wanted.length === 0 && !existsSync(journal.root)) return []
    const read = yield* Effect.try(() => journal.read()).pipe(
      Effect.orElseSucceed(() => ({ records: [], unreadable: ["all of them"] }))
    )
    const repositories = new Set([
      ...wanted.flatMap((spec) => (spec.kind === "worktree" ? [spec.repository] : [])),
      ...read.records.flatMap(({ git }) => (git === undefined ? [] : [git.repository]))
    ])
    const git = Git.make(yield* ProcessTree, process.env)
    const found = [...ofRecords(journal, read)]
    for (const repository of repositories) found.push(...(yield* ofRepository(git, repository, journal, read.records)))
    const strays = found.filter(({ verdict }) => verdict !== "ok").length
    const kept = read.records.filter(({ state }) => state === "ready").length
    if (strays === 0) found.push(told("ok", `${kept} in use or kept, nothing is stray`))
    return found.map((each): Finding => ({ about: "node", name: "workspaces", ...each }))
  },
  Effect.provide(ProcessTree.layerBare.pipe(Layer.provide(SecureRandom.layerWebCrypto)))
)

type Read = ReturnType<WorkspaceJournal.Journal["read"]>

function* ofRecords(journal: WorkspaceJournal.Journal, { records, unreadable }: Read): Iterable<Told> {
  const { root } = journal
  for (const name of unreadable.slice(0, MAX_NAMED)) {
    yield told("warning", `the record ${name} cannot be read`, `see ${join(root, ".records")}, and move it away`)
  }
  for (const { git, name, path, state } of records.slice(0, MAX_NAMED * 10)) {
    if (state === "making" || state === "removing") {
      yield told("warning", `${path} was cut off while it was ${state === "making" ? "made" : "removed"}`, NEXT_START)
    } else if (state === "ready" && !existsSync(path)) {
      const branch = git === undefined ? "" : `; its branch ${git.branch} is left as it is`
      yield told("warning", `${name} has a record, but ${path} is not there${branch}`, NEXT_START)
    }
  }
  const known = new Set(records.map(({ name }) => name))
  const stray = entries(root).filter((name) => !name.startsWith(".") && !known.has(name))
  for (const name of stray.slice(0, MAX_NAMED)) {
    const path = join(root, name)
    yield told("warning", `${path} has no record`, `see what it is, and move it away; nothing removes it for you`)
  }
}

const NEXT_START = "nothing needs to be done: the next run finishes or undoes it"

const entries = (root: string): ReadonlyArray<string> => {
  try {
    return readdirSync(root)
  } catch {
    return []
  }
}

const ofRepository = (
  git: Git.Git,
  repository: string,
  { root }: WorkspaceJournal.Journal,
  records: ReadonlyArray<WorkspaceJournal.WorkspaceRecord>
) =>
  Effect.gen(function* () {
    const found: Array<Told> = []
    const ours = existsSync(root) ? realpathSync(root) : root
    const known = new Set(records.map(({ name }) => join(ours, name)))
    for (const { path, prunable } of yield* WorktreeView.list(git, repository)) {
      if (dirname(path) !== ours && dirname(path) !== root) continue
      if (prunable !== undefined) {
        found.push(
          told(
            "warning",
            `${repository} knows a worktree ${path} that is not there`,
            `git -C ${repository} worktree prune`
          )
        )
      } else if (!known.has(path)) {
        const hint = `see what is in it, then: git -C ${repository} worktree remove ${path}`
        found.push(told("warning", `the worktree ${path} of ${repository} has no record`, hint))
      }
    }
    const refs = (yield* git.line(repository, ["for-each-ref", "--format=%(refname)", REFS]))
      .split("\n")
      .filter((ref) => ref !== "")
    if (refs.length > 0) {
      const [first = ""] = refs
      found.push(
        told(
          "ok",
          `${repository} has ${refs.length === 1 ? "an archive" : `${refs.length} archives, the first`}: ${first}`,
          `look: git -C ${repository} worktree add PATH ${first}; be done with it: git -C ${repository} update-ref -d ${first}`
        )
      )
    }
    return found.slice(0, MAX_NAMED)
  }).pipe(Effect.catch(({ hint, message }) => Effect.succeed([told("problem", message, hint)])))
