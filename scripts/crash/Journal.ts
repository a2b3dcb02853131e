/**
 * What the fake CLIs say they have done (test/fixtures/fake-claude.pl): two lines for the work of a turn, in the order in
 * which they were written, by whichever process.
 */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

export interface Work {
  readonly run: string
  readonly done: boolean
  /** Work on the same task was begun before this was done. */
  readonly overtaken: boolean
}

export interface Journal {
  /** By task, in the order in which they were begun. */
  readonly works: ReadonlyMap<string, ReadonlyArray<Work>>
  /** Lines that no fake writes, and ends without a beginning. */
  readonly wrong: ReadonlyArray<string>
}

export const read = (directory: string): Journal => {
  const file = join(directory, "journal")
  const works = new Map<string, Array<{ run: string; done: boolean; overtaken: boolean }>>()
  const wrong: Array<string> = []
  const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : []
  for (const line of lines) {
    const [, what, task = "", run = ""] = /^(begin|done) (\S+) (\S+)$/.exec(line) ?? []
    if (what === undefined) wrong.push(line)
    else if (what === "begin") works.set(task, [...(works.get(task) ?? []), { run, done: false, overtaken: false }])
    else {
      const all = works.get(task) ?? []
      const work = all.find((each) => each.run === run)
      if (work === undefined || work.done) wrong.push(line)
      else {
        work.done = true
        work.overtaken = all.at(-1) !== work
      }
    }
  }
  return { works, wrong }
}
