/** What can go wrong with an SQLite file, and what an operator can do about each. */
import { Schema } from "effect"
import type { Fault, Recovery, Severity } from "../domain/Fault.ts"
import { follow } from "../domain/Fault.ts"

export const Problem = Schema.Literals(["damaged", "newer", "readOnly", "full", "locked", "failed"])
export type Problem = typeof Problem.Type

interface Cure {
  readonly severity: Severity
  readonly recovery: Recovery
  readonly hint: string
}

/** What each problem means for whoever meets it. Only what passes by itself, or by making room, is tried again. */
export const cures: Readonly<Record<Problem, Cure>> = {
  damaged: {
    severity: "critical",
    recovery: "escalate",
    hint: "nothing was changed: put a copy of the file and its -wal in place, save what can be read with `sqlite3 FILE .recover`, or move both away to begin anew"
  },
  newer: {
    severity: "critical",
    recovery: "escalate",
    hint: "a later version has written it: use that version, or another dataDir"
  },
  readOnly: {
    severity: "critical",
    recovery: "escalate",
    hint: "check who owns the file and its directory, and that the file system is not mounted read-only"
  },
  full: {
    severity: "critical",
    recovery: "retry",
    hint: "make room on the disk; what was accepted before is safe, and what could not be written is tried again"
  },
  locked: {
    severity: "high",
    recovery: "retry",
    hint: "another program has the file open and writes to it: close it"
  },
  failed: {
    severity: "critical",
    recovery: "escalate",
    hint: "see the kernel's log for errors of the disk, and that the file system has locks and shared memory"
  }
}

/** Gives a class of errors that has a problem what is to be done about it: see `cures`. */
export const cure = (failure: { readonly prototype: Fault & { readonly problem: Problem } }): void => {
  for (const name of ["severity", "recovery", "hint"] as const) {
    Object.defineProperty(failure.prototype, name, {
      get(this: { readonly problem: Problem }) {
        return cures[this.problem][name]
      }
    })
  }
  follow(failure, { severity: "critical", recovery: "escalate" })
}

/** The file cannot be read or written. What it held before is as it was. */
export class DatabaseUnusable extends Schema.TaggedError<DatabaseUnusable, Fault>("mister-smith/DatabaseUnusable")(
  "DatabaseUnusable",
  { file: Schema.String, problem: Problem, detail: Schema.String }
) {
  static {
    cure(this)
  }
  override get message() {
    return `${this.file} ${said[this.problem]} (${this.detail})`
  }
}

/** As the end of a sentence that begins with the file. */
export const said: Readonly<Record<Problem, string>> = {
  damaged: "is damaged",
  newer: "is of a newer version",
  readOnly: "cannot be written to",
  full: "cannot grow: the disk is full",
  locked: "is locked by another program",
  failed: "cannot be used"
}

/** By SQLite's own words, which are the same under every runtime; its code is not given by each. */
const words: ReadonlyArray<readonly [RegExp, Problem]> = [
  [/malformed|not a database|wrong # of entries|unsupported file format/i, "damaged"],
  [/readonly|read-only|permission denied|EACCES|EPERM|EROFS/i, "readOnly"],
  [/disk is full|ENOSPC|EDQUOT/i, "full"],
  [/is locked|busy/i, "locked"]
]

/** What a thrown error means. */
export const explain = (file: string, error: unknown): DatabaseUnusable => {
  if (error instanceof DatabaseUnusable) return error
  const detail = error instanceof Error ? error.message : String(error)
  // What cannot be decoded was not written by us.
  const problem =
    error instanceof SyntaxError ? "damaged" : (words.find(([pattern]) => pattern.test(detail))?.[1] ?? "failed")
  return new DatabaseUnusable({ file, problem, detail })
}
