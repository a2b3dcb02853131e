/** File systems that are full or read-only, where the machine lets us have them; where not, why not. */
import { spawnSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { tempDir } from "../utils/Binary.ts"

interface Skipped extends Disposable {
  readonly skipped: string
}
interface Mounted extends Disposable {
  readonly path: string
}

const run = (command: string, ...args: ReadonlyArray<string>): string | undefined => {
  const { error, status, stderr } = spawnSync(command, args, { encoding: "utf8" })
  return error !== undefined ? error.message : status === 0 ? undefined : stderr.trim() || `${command} failed`
}

const skipped = (what: string, why: string): Skipped => {
  const text = `${what}: ${why}`
  console.log(`skipped: ${text}`)
  return { skipped: text, [Symbol.dispose]: () => {} }
}

/** A file system of 2 MiB. */
export const small = (): Mounted | Skipped => {
  const dir = tempDir()
  const path = join(dir.path, "disk")
  mkdirSync(path)
  const problem = run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path)
  if (problem !== undefined) {
    dir[Symbol.dispose]()
    return skipped("a small disk needs root", problem)
  }
  return {
    path,
    [Symbol.dispose]: () => {
      // A test that failed may have left a file open: lazily.
      run("umount", "-l", path)
      dir[Symbol.dispose]()
    }
  }
}

/** The directory itself, read-only until disposed. */
export const readOnly = (path: string): Mounted | Skipped => {
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
