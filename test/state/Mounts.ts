/** File systems that are full or read-only, where the machine lets us have them; where not, why not. */
import { spawnSync } from "node:child_process"
import { mkdirSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { tempDir } from "../utils/Binary.ts"

interface Skipped extends Disposable {
  readonly skipped: string
}
interface Mounted extends Disposable {
  readonly path: string
}
interface Disk extends Mounted {
  /** Makes room. */
  free(): void
}

const DISK = 16 * 1024 * 1024
const FREE = 1024 * 1024

const run = (command: string, ...args: ReadonlyArray<string>): string | undefined => {
  const { error, status, stderr } = spawnSync(command, args, { encoding: "utf8" })
  return error !== undefined ? error.message : status === 0 ? undefined : stderr.trim() || `${command} failed`
}

const skipped = (what: string, why: string): Skipped => {
  const text = `${what}: ${why}`
  console.log(`skipped: ${text}`)
  return { skipped: text, [Symbol.dispose]: () => {} }
}

/** A file system of 16 MiB, of which FREE are free as long as `filler` has its size. */
const makeSmall = (): Disk | Skipped => {
  const dir = tempDir()
  const path = join(dir.path, "disk")
  mkdirSync(path)
  const problem = run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", path)
  if (problem !== undefined) {
    dir[Symbol.dispose]()
    return skipped("a small disk needs root", problem)
  }
  const filler = join(path, "filler")
  writeFileSync(filler, Buffer.alloc(DISK - FREE))
  return {
    path,
    free: () => truncateSync(filler, 0),
    [Symbol.dispose]: () => {
      // A test that failed may have left a file open: lazily.
      run("umount", "-l", path)
      dir[Symbol.dispose]()
    }
  }
}

/** The directory itself, read-only until disposed. */
const makeReadOnly = (path: string): Mounted | Skipped => {
  const problem = run("mount", "--bind", path, path) ?? run("mount", "-o", "remount,bind,ro", path)
  if (problem !== undefined) {
    if (process.getuid?.() === 0) {
      run("umount", "-l", path)
      return skipped("a read-only mount is not to be had", problem)
    }
    run("chmod", "-R", "a-w", path)
    return { path, [Symbol.dispose]: () => void run("chmod", "-R", "u+w", path) }
  }
  return { path, [Symbol.dispose]: () => void run("umount", "-l", path) }
}

/** Gone when the Scope closes, also where the test has failed. */
const scoped = <A extends Disposable>(make: () => A) =>
  Effect.acquireRelease(Effect.sync(make), (it) => Effect.sync(() => it[Symbol.dispose]()))

export const directory = scoped(tempDir)
export const small = scoped(makeSmall)
export const readOnly = (path: string) => scoped(() => makeReadOnly(path))
