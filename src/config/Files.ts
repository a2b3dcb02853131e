/**
 * The few things that loading a config asks of the disk. A port of its own, and a small one: `check` is called often, and
 * effect's FileSystem brings its streams along, which cost more than all the rest of it.
 */
import { closeSync, openSync, readSync, statSync } from "node:fs"
import { Context, Effect } from "effect"

/** Why a path gives nothing; the system's own code where it is another. */
export type Refusal = "there is no such file" | "may not be read" | "is a directory" | (string & {})

/** Replaced in tests. */
export const Files = Context.Reference<{
  stat(path: string): Effect.Effect<{ readonly kind: "file" | "directory" | "other" }, Refusal>
  /** At most `limit` bytes: what is longer, and be it endless, is refused. */
  read(path: string, limit: number): Effect.Effect<Uint8Array, Refusal>
}>("mister-smith/config/Files", {
  defaultValue: () => ({
    stat: (path) =>
      attempt(() => {
        const stat = statSync(path)
        return { kind: stat.isDirectory() ? "directory" : stat.isFile() ? "file" : "other" }
      }),
    read: (path, limit) =>
      Effect.flatMap(
        attempt(() => readUpTo(path, limit + 1)),
        (bytes) => (bytes.length > limit ? Effect.fail(`is larger than ${sizeOf(limit)}`) : Effect.succeed(bytes))
      )
  })
})

/** A pipe or a device says nothing of its length before it ends. */
const readUpTo = (path: string, most: number): Uint8Array => {
  const file = openSync(path, "r")
  try {
    let bytes = new Uint8Array(Math.min(most, 64 * 1024))
    let length = 0
    while (length < most) {
      if (length === bytes.length) {
        const larger = new Uint8Array(Math.min(most, bytes.length * 2))
        larger.set(bytes)
        bytes = larger
      }
      const count = readSync(file, bytes, length, bytes.length - length, null)
      if (count === 0) break
      length += count
    }
    return bytes.subarray(0, length)
  } finally {
    closeSync(file)
  }
}

const sizeOf = (bytes: number) =>
  bytes % 1024 ** 2 === 0 ? `${bytes / 1024 ** 2} MiB` : `${Math.floor(bytes / 1024)} KiB`

const attempt = <A>(f: () => A): Effect.Effect<A, Refusal> => Effect.try({ try: f, catch: refusal })

const refusals: Readonly<Record<string, Refusal>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EACCES: "may not be read",
  EPERM: "may not be read",
  EISDIR: "is a directory"
}

const refusal = (error: unknown): Refusal => {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error)
  return refusals[code] ?? code
}
