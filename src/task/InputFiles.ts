/**
 * The copies of files that tasks come with, on the disk: one directory a task. A copy is whole and on the disk before it
 * has its name; what has none was cut off. Which of them are wanted is decided in Inputs.ts.
 */
import { constants } from "node:fs"
import { type FileHandle, lstat, mkdir, open, readdir, readFile, rename, rm, rmdir, writeFile } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { MAX_BYTES } from "./FileSpec.ts"

/** Why a file cannot be copied: its path, and the reason. */
export class Uncopied {
  readonly path: string
  readonly reason: string
  constructor(path: string, reason: string) {
    this.path = path
    this.reason = reason
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EACCES: "it may not be read",
  EPERM: "it may not be read",
  ENXIO: "it is no file"
}

export const reasonOf = (error: unknown): string => {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error)
  return reasons[code] ?? code
}

/** At once, in bytes. */
const CHUNK = 1024 * 1024

/** Answers with its size. A pipe is not waited for, and what grows meanwhile is not followed for ever. */
const copy = async (from: string, to: string, room: number): Promise<number> => {
  let source: FileHandle
  try {
    source = await open(from, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw new Uncopied(from, reasonOf(error))
  }
  try {
    const stat = await source.stat()
    if (!stat.isFile()) throw new Uncopied(from, "it is no file")
    const target = await open(to, "wx", 0o600 | (stat.mode & 0o100))
    try {
      const chunk = new Uint8Array(CHUNK)
      let size = 0
      while (true) {
        const { bytesRead } = await source.read(chunk, 0, CHUNK, size)
        if (bytesRead === 0) break
        if (size + bytesRead > room)
          throw new Uncopied(from, `the files of a task may be ${MAX_BYTES / 1024 ** 2} MiB together`)
        for (let at = 0; at < bytesRead; ) at += (await target.write(chunk, at, bytesRead - at, size + at)).bytesWritten
        size += bytesRead
      }
      await target.sync()
      return size
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

/** Its entries are on the disk. */
const syncDir = async (path: string): Promise<void> => {
  const handle = await open(path, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const remove = (path: string) => rm(path, { recursive: true, force: true })

/** Begins like no task: a copy that is being made. */
const UNFINISHED = ".new-"
/** Begins like no task: where a copy lies that an agent works with. */
const LAID = ".laid-"

export interface Input {
  readonly path: string
  readonly name: string
}

/** Copies all of them to where those of `task` are kept, or throws and leaves nothing there. */
export const keep = async (root: string, task: string, files: ReadonlyArray<Input>): Promise<void> => {
  const unfinished = join(root, `${UNFINISHED}${task}`)
  try {
    await remove(unfinished)
    await mkdir(unfinished, { recursive: true, mode: 0o700 })
    let room = MAX_BYTES
    for (const { name, path } of files) room -= await copy(path, join(unfinished, name), room)
    await syncDir(unfinished)
    await remove(join(root, task))
    await rename(unfinished, join(root, task))
    await syncDir(root)
  } catch (error) {
    await remove(unfinished).catch(() => {})
    throw error
  }
}

export const drop = (root: string, task: string): Promise<void> => remove(join(root, task))

/** The tasks and series that have files here. What was cut off goes, here and where agents work. */
export const kept = async (root: string): Promise<ReadonlyArray<string>> => {
  const names = await readdir(root).catch(() => [])
  for (const name of names) {
    // What cannot be removed now is tried again at the next start.
    if (name.startsWith(LAID))
      await readFile(join(root, name), "utf8")
        .then((place) => takeUp(root, name.slice(LAID.length), place))
        .catch(() => {})
    else if (name.startsWith(UNFINISHED)) await remove(join(root, name)).catch(() => {})
  }
  return names.filter((name) => !name.startsWith("."))
}

/** In a workspace; holds a directory for each task that is worked on there, and tells git to look away. */
const INPUTS = ".inputs"

/** Where the files of a task are, seen from the workspace. */
export const placeIn = (task: string): string => `${INPUTS}/${task}`

/** Copies what is kept as `from` into a workspace, for `task`. It is noted first, so that a copy is found again whatever happens. */
export const lay = async (root: string, from: string, task: string, workspace: string): Promise<void> => {
  const there = join(workspace, INPUTS)
  const stat = await lstat(there).catch(() => undefined)
  if (stat !== undefined && !stat.isDirectory()) throw new Uncopied(there, "it is there already, and no directory")
  const place = join(there, task)
  const names = await readdir(join(root, from))
  await writeFile(join(root, `${LAID}${task}`), place, { mode: 0o600 })
  try {
    await mkdir(there, { recursive: true, mode: 0o700 })
    await writeFile(join(there, ".gitignore"), "*\n")
    await remove(place)
    await mkdir(place, { mode: 0o700 })
    for (const name of names) await copy(join(root, from, name), join(place, name), MAX_BYTES)
  } catch (error) {
    await takeUp(root, task, place).catch(() => {})
    throw error
  }
}

/** Removes what was laid there; the directory around it with the last. */
export const takeUp = async (root: string, task: string, place: string): Promise<void> => {
  const there = dirname(place)
  if (basename(place) === task && basename(there) === INPUTS) {
    const stat = await lstat(there).catch(() => undefined)
    if (stat?.isDirectory() === true) {
      await remove(place)
      if ((await readdir(there)).every((name) => name === ".gitignore")) {
        await remove(join(there, ".gitignore"))
        await rmdir(there).catch(() => {})
      }
    }
  }
  await rm(join(root, `${LAID}${task}`), { force: true })
}
