/**
 * The home of supervision's StoppedStore on disk: one small file in the data directory, written whole, to a new file
 * that then takes the place of the old one, so that a runtime killed meanwhile leaves the one or the other.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs"
import { dirname, join } from "node:path"
import { Effect, Schema } from "effect"
import { crashPoint } from "../state/CrashPoint.ts"
import { StopNotKept } from "../supervision/ChildError.ts"
import type { StoppedStore } from "../supervision/StoppedStore.ts"
import { StoppedUnreadable } from "./AgentError.ts"

const FILE = "stopped.json"

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Array(Schema.String)))

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "")

/** Reads what is there. A file that cannot be understood stops the start: who was stopped must not run by mistake. */
export const make = Effect.fnUntraced(function* (dataDir: string): Effect.fn.Return<StoppedStore, StoppedUnreadable> {
  const file = join(dataDir, FILE)
  const paths = new Set(
    yield* Effect.try({
      try: () => read(file),
      catch: (error) => new StoppedUnreadable({ file, reason: codeOf(error) || "it is not a list of names" })
    })
  )
  const change = (path: string, change: () => boolean, undo: () => unknown) =>
    Effect.suspend(() => {
      if (!change()) return Effect.void
      try {
        write(file, [...paths].sort())
        return Effect.void
      } catch (error) {
        undo()
        return Effect.fail(new StopNotKept({ path, reason: codeOf(error) || String(error) }))
      }
    })
  return {
    all: Effect.sync(() => new Set(paths)),
    add: (path) =>
      change(
        path,
        () => !paths.has(path) && paths.add(path).has(path),
        () => paths.delete(path)
      ),
    remove: (path) =>
      change(
        path,
        () => paths.delete(path),
        () => paths.add(path)
      )
  }
})

const read = (file: string): ReadonlyArray<string> => {
  let text: string
  try {
    text = readFileSync(file, "utf8")
  } catch (error) {
    if (codeOf(error) === "ENOENT") return []
    throw error
  }
  return decode(text)
}

const write = (file: string, paths: ReadonlyArray<string>): void => {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  crashPoint("agent.stopped.before")
  const next = `${file}.new`
  const fd = openSync(next, "w", 0o600)
  try {
    writeSync(fd, `${JSON.stringify(paths, undefined, 2)}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  crashPoint("agent.stopped.within")
  renameSync(next, file)
  const directory = openSync(dirname(file), "r")
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
  crashPoint("agent.stopped.after")
}
