/**
 * What has been begun with each task's workspace: one small file for each, written whole and on the disk before git or
 * the system is asked for anything, so that whoever comes after a crash knows what was meant and looks what has become of
 * it. A record that cannot be read is told of and never written over.
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync
} from "node:fs"
import { join } from "node:path"
import { Option, Schema } from "effect"
import { crashPoint } from "../state/CrashPoint.ts"

/** Below dataDir. */
export const DIRECTORY = "workspaces"
/** Below that; no task is named so. */
const RECORDS = ".records"

export const WorkspaceRecord = Schema.Struct({
  /** Of its directory and of its file: the task's id, and a number where the task has had another kind of place before. */
  name: Schema.String,
  task: Schema.String,
  kind: Schema.Literals(["fresh", "worktree"]),
  path: Schema.String,
  /** making and removing: meant, and perhaps half done. away: removed, and what was in it is kept by git. */
  state: Schema.Literals(["making", "ready", "removing", "away"]),
  madeAt: Schema.Finite,
  /** When its task ended. */
  overSince: Schema.optionalKey(Schema.Finite),
  /** Of a worktree. */
  git: Schema.optionalKey(
    Schema.Struct({
      repository: Schema.String,
      branch: Schema.String,
      /** The ref, or the commit, that the work must get into. */
      base: Schema.String,
      /** The commit that the branch began at. */
      start: Schema.String,
      keep: Schema.Literals(["unmerged", "always"]),
      /** Where its HEAD was when it was put away: a ref, or a commit. */
      head: Schema.optionalKey(Schema.String),
      /** The commit that HEAD was at then. */
      commit: Schema.optionalKey(Schema.String),
      /** The ref that holds what was put away. */
      archive: Schema.optionalKey(Schema.String)
    })
  )
})
export type WorkspaceRecord = typeof WorkspaceRecord.Type
export type GitRecord = NonNullable<WorkspaceRecord["git"]>

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(WorkspaceRecord))

export interface Journal {
  /** Absolute; workspaces are directly below. */
  readonly root: string
  /** A file of this workspace's, for git's use. */
  scratch(name: string, what: string): string
  /** All that can be read, and the names of those that cannot. */
  read(): { readonly records: ReadonlyArray<WorkspaceRecord>; readonly unreadable: ReadonlyArray<string> }
  write(record: WorkspaceRecord): void
  remove(name: string): void
}

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "")

export const make = (dataDir: string): Journal => {
  const root = join(dataDir, DIRECTORY)
  const records = join(root, RECORDS)
  const sync = () => {
    const directory = openSync(records, "r")
    try {
      fsyncSync(directory)
    } finally {
      closeSync(directory)
    }
  }
  return {
    root,
    scratch: (name, what) => join(records, `${name}.${what}`),
    read: () => {
      let names: ReadonlyArray<string> = []
      try {
        names = readdirSync(records)
      } catch (error) {
        if (codeOf(error) !== "ENOENT") throw error
      }
      const found: Array<WorkspaceRecord> = []
      const unreadable: Array<string> = []
      for (const name of names) {
        if (!name.endsWith(".json")) continue
        const record = decode(text(join(records, name)))
        // A file that was copied under another name is not of that workspace.
        if (Option.isSome(record) && `${record.value.name}.json` === name) found.push(record.value)
        else unreadable.push(name)
      }
      return { records: found, unreadable }
    },
    write: (record) => {
      crashPoint("workspace.record.before")
      mkdirSync(records, { recursive: true, mode: 0o700 })
      const file = join(records, `${record.name}.json`)
      const fd = openSync(`${file}.new`, "w", 0o600)
      try {
        writeSync(fd, `${JSON.stringify(record, undefined, 2)}\n`)
        fsyncSync(fd)
      } finally {
        closeSync(fd)
      }
      crashPoint("workspace.record.within")
      renameSync(`${file}.new`, file)
      crashPoint("workspace.record.after")
      sync()
    },
    remove: (name) => {
      crashPoint("workspace.forget.before")
      rmSync(join(records, `${name}.json`), { force: true })
      crashPoint("workspace.forget.after")
      sync()
    }
  }
}

const text = (file: string): string => {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return ""
  }
}
