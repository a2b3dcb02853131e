/**
 * Where a secret of the settings is found, each time it is needed: a file may have been replaced since. It never waits: a
 * server that has been dialled gives a client little time.
 */
import { closeSync, openSync, readSync } from "node:fs"
import { Effect, Redacted } from "effect"
import type { HiddenSecret } from "../domain/Secret.ts"

/** Bytes of a file. */
export const MAX_SECRET = 128 * 1024

/** Fails with why it is not there. */
export type ReadSecret = (secret: HiddenSecret) => Effect.Effect<Redacted.Redacted, string>

/** A file's path begins where the process runs, unless it is absolute; a newline at the end of the file is dropped. */
export const readSecret: ReadSecret = (secret) =>
  Effect.suspend(() => {
    if (Redacted.isRedacted(secret)) return Effect.succeed(secret)
    if ("env" in secret) {
      const text = process.env[secret.env]
      return text === undefined || text === ""
        ? Effect.fail("the environment variable is not set")
        : Effect.succeed(Redacted.make(text))
    }
    return Effect.flatMap(Effect.try({ try: () => read(secret.file), catch: reasonOf }), (text) =>
      text === "" ? Effect.fail("the file is empty") : Effect.succeed(Redacted.make(text))
    )
  })

const TOO_LARGE = `the file is larger than ${MAX_SECRET / 1024} KiB`

const read = (path: string): string => {
  const file = openSync(path, "r")
  try {
    const bytes = new Uint8Array(MAX_SECRET + 1)
    let length = 0
    while (length < bytes.length) {
      const count = readSync(file, bytes, length, bytes.length - length, null)
      if (count === 0) return utf8.decode(bytes.subarray(0, length)).replace(/\r?\n$/, "")
      length += count
    }
    throw new Error(TOO_LARGE)
  } finally {
    closeSync(file)
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true })

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EACCES: "the file may not be read",
  EPERM: "the file may not be read",
  EISDIR: "it is a directory"
}

const reasonOf = (error: unknown): string => {
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  if (error instanceof Error && error.message === TOO_LARGE) return TOO_LARGE
  return reasons[code] ?? (error instanceof TypeError ? "the file is not UTF-8 text" : code || "reading it failed")
}
