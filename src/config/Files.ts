/**
 * The few things that loading a config asks of the disk. A port of its own, and a small one: `check` is called often, and
 * effect's FileSystem brings its streams along, which cost more than all the rest of it.
 */
import { readFileSync, statSync } from "node:fs"
import { Context, Effect } from "effect"

export interface FileInfo {
  readonly kind: "file" | "directory" | "other"
  readonly size: number
}

/** Why a path gives nothing; the system's own code where it is another. */
export type Refusal = "there is no such file" | "may not be read" | (string & {})

/** Replaced in tests. */
export const Files = Context.Reference<{
  stat(path: string): Effect.Effect<FileInfo, Refusal>
  read(path: string): Effect.Effect<Uint8Array, Refusal>
}>("mister-smith/config/Files", {
  defaultValue: () => ({
    stat: (path) =>
      attempt(() => {
        const stat = statSync(path)
        return { kind: stat.isDirectory() ? "directory" : stat.isFile() ? "file" : "other", size: stat.size }
      }),
    read: (path) => attempt(() => readFileSync(path))
  })
})

const attempt = <A>(f: () => A): Effect.Effect<A, Refusal> => Effect.try({ try: f, catch: refusal })

const refusal = (error: unknown): Refusal => {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error)
  return code === "ENOENT" || code === "ENOTDIR"
    ? "there is no such file"
    : code === "EACCES" || code === "EPERM"
      ? "may not be read"
      : code
}
