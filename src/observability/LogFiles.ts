/**
 * Lines go into files that grow, are put aside, and are removed.
 *
 * Promises: `write` never waits and never throws; what waits to be written is bounded by MAX_BUFFERED, and what is over
 * it, or cannot be written, is dropped and counted; no line is cut in two, and what a crash has left of one is ended
 * before another begins; all files together are never more than `maxTotal`; the newest file of a name is never removed
 * while there is one that was put aside; a directory that goes away is made anew. Only the user of the node may read.
 *
 * Written for want of a library: those for Node rotate each file for itself, none bounds what all of them are together,
 * and a full disk ends their stream.
 */
import { mkdir, open, readdir, readFile, rename, stat, unlink, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { Option, Schema } from "effect"
import { nameOf, rotatedName } from "./LogNames.ts"

export interface Bounds {
  /** Bytes. */
  readonly maxFile: number
  readonly maxTotal: number
  readonly maxAgeMillis: number
}

/** Characters that may wait to be written. Of them, lines for debugging may be half. */
export const MAX_BUFFERED = 4 * 1024 * 1024
/** Written at once, in bytes, and so the longest line: a file that takes it is within its bound. */
export const MAX_PIECE = 64 * 1024
/** How often all files are looked at, at most. */
const LOOK_EVERY = 60_000
/** So much is made free at least where there is no more room: not a file for each line. */
const SPARE = 1 / 16
/** Tells who looks later what was lost. */
export const LOST_FILE = "lost.json"

interface Known {
  size: number
  /** When its first line was written, of the file that is written to. */
  born?: number
  /** It ends in the middle of a line. */
  torn?: boolean
}

export class LogFiles {
  /** By path below `dir`. */
  readonly #files = new Map<string, Known>()
  #waiting = new Map<string, Array<string>>()
  #buffered = 0
  #total = 0
  #lookedAt = Number.NEGATIVE_INFINITY
  #lastStamp = 0
  #lost = 0
  #failing = false
  #told: string | undefined
  #toldAt = Number.NEGATIVE_INFINITY
  #flushing: Promise<void> | undefined

  readonly dir: string
  readonly bounds: Bounds
  readonly #onLoss: (reason: string) => void
  readonly #now: () => number

  /** `onLoss` hears of it when lines begin to be lost, once until all is well again. */
  constructor(dir: string, bounds: Bounds, onLoss: (reason: string) => void = () => {}, now: () => number = Date.now) {
    this.dir = dir
    this.bounds = bounds
    this.#onLoss = onLoss
    this.#now = now
  }

  /** Lines that were dropped. */
  get lost(): number {
    return this.#lost
  }

  /** Characters that wait to be written. */
  get buffered(): number {
    return this.#buffered
  }

  /** A whole line, without its end, for the file of this name. */
  write(name: string, line: string, debug = false): void {
    const most = debug ? MAX_BUFFERED / 2 : MAX_BUFFERED
    if (this.#buffered + line.length > most || line.length > MAX_PIECE) {
      this.#lose(1, "lines come too fast")
      return
    }
    this.#buffered += line.length
    const lines = this.#waiting.get(name)
    if (lines === undefined) this.#waiting.set(name, [line])
    else lines.push(line)
  }

  /** Completes when all that waited has been written, or was lost. One at a time. */
  async flush(): Promise<void> {
    await this.#flushing
    this.#flushing = this.#flush()
    await this.#flushing
  }

  async #flush(): Promise<void> {
    const all = this.#waiting
    this.#waiting = new Map()
    this.#buffered = 0
    let failed: unknown
    try {
      if (this.#now() - this.#lookedAt >= LOOK_EVERY) await this.#look()
    } catch (error) {
      failed = error
    }
    for (const [name, lines] of all) {
      for (const piece of pieces(lines)) {
        try {
          await this.#append(name, piece)
        } catch (error) {
          failed = error
          this.#lose(piece.length, reasonOf(error))
        }
      }
    }
    if (failed === undefined && this.#failing && all.size > 0) {
      this.#failing = false
      await this.#note(undefined)
    } else if (failed !== undefined) await this.#note(reasonOf(failed))
  }

  async #append(name: string, lines: ReadonlyArray<string>): Promise<void> {
    const text = Buffer.from(`${lines.join("\n")}\n`)
    await this.#makeRoom(text.length + 1)
    const live = `${name}.log`
    const limit = Math.min(this.bounds.maxFile, Math.max(MAX_PIECE * 2, this.bounds.maxTotal / (2 * this.#liveCount())))
    let file = await this.#open(live)
    try {
      let { size } = await file.stat()
      let known = await this.#known(live, file, size)
      if (size > 0 && (size + text.length > limit || this.#now() - (known.born ?? 0) >= this.bounds.maxAgeMillis)) {
        await file.close()
        await this.#putAside(name)
        file = await this.#open(live)
        size = (await file.stat()).size
        known = await this.#known(live, file, size)
      }
      const whole = known.torn ? Buffer.concat([Buffer.from("\n"), text]) : text
      try {
        await writeWhole(file, whole)
      } catch (error) {
        // Half a line is worse than none. Where it cannot be taken back, it is ended later.
        known.torn = await file.truncate(size).then(
          () => known.torn ?? false,
          () => true
        )
        throw error
      }
      known.torn = false
      known.born ??= this.#now()
      this.#size(live, size + whole.length)
    } finally {
      await file.close().catch(() => {})
    }
  }

  #liveCount(): number {
    let count = 0
    for (const path of this.#files.keys()) if (!nameOf(path)?.rotated) count++
    return Math.max(1, count)
  }

  async #open(live: string) {
    const path = join(this.dir, live)
    try {
      return await open(path, "a+", 0o600)
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      this.#lookedAt = Number.NEGATIVE_INFINITY
      return await open(path, "a+", 0o600)
    }
  }

  /** What is known of a file; of one that an earlier run has left, what its first and last bytes say. */
  async #known(live: string, file: Awaited<ReturnType<typeof open>>, size: number): Promise<Known> {
    const known = this.#files.get(live) ?? { size }
    this.#size(live, size, known)
    if (size === 0) {
      delete known.born
      known.torn = false
      return known
    }
    if (known.born === undefined) {
      const head = Buffer.alloc(64)
      const { bytesRead } = await file.read(head, 0, head.length, 0)
      const said = /\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(head.toString("latin1", 0, bytesRead))?.[0]
      known.born = said === undefined ? this.#now() : Date.parse(said)
      const tail = Buffer.alloc(1)
      const last = await file.read(tail, 0, 1, size - 1)
      known.torn ??= last.bytesRead === 1 && tail[0] !== 10
    }
    return known
  }

  #size(path: string, size: number, known = this.#files.get(path) ?? { size: 0 }): void {
    this.#total += size - (this.#files.get(path)?.size ?? 0)
    known.size = size
    this.#files.set(path, known)
  }

  #forget(path: string): void {
    this.#total -= this.#files.get(path)?.size ?? 0
    this.#files.delete(path)
  }

  async #putAside(name: string): Promise<void> {
    this.#lastStamp = Math.max(this.#now(), this.#lastStamp + 1)
    const aside = rotatedName(name, this.#lastStamp)
    const size = this.#files.get(`${name}.log`)?.size ?? 0
    await rename(join(this.dir, `${name}.log`), join(this.dir, aside))
    this.#forget(`${name}.log`)
    this.#size(aside, size)
  }

  /** Removes what was put aside, the oldest first; where that is not enough, the largest file of all is put aside too. */
  async #makeRoom(bytes: number): Promise<void> {
    if (this.#total + bytes <= this.bounds.maxTotal) return
    const goal = this.bounds.maxTotal * (1 - SPARE) - bytes
    for (const path of this.#aside()) {
      if (this.#total <= goal) return
      await this.#remove(path)
    }
    while (this.#total > goal) {
      const [largest] = [...this.#files].sort(([, a], [, b]) => b.size - a.size)
      if (largest === undefined || largest[1].size === 0) return
      const named = nameOf(largest[0])
      if (named === undefined) return this.#forget(largest[0])
      await this.#putAside(named.name).catch((error) => {
        if (codeOf(error) !== "ENOENT") throw error
        this.#forget(largest[0])
      })
      for (const path of this.#aside()) await this.#remove(path)
    }
  }

  /** The oldest first. */
  #aside(): ReadonlyArray<string> {
    return [...this.#files.keys()]
      .flatMap((path) => {
        const named = nameOf(path)
        return named?.rotated === undefined ? [] : [{ path, at: named.rotated }]
      })
      .sort((a, b) => a.at - b.at)
      .map(({ path }) => path)
  }

  async #remove(path: string): Promise<void> {
    await unlink(join(this.dir, path)).catch((error) => {
      if (codeOf(error) !== "ENOENT") throw error
    })
    this.#forget(path)
  }

  /** Sees what is there, and removes what is too old. */
  async #look(): Promise<void> {
    this.#lookedAt = this.#now()
    const found = await logFilesIn(this.dir)
    const there = new Set(found)
    for (const path of [...this.#files.keys()]) if (!there.has(path)) this.#forget(path)
    for (const path of found) {
      const at = await stat(join(this.dir, path)).catch(() => undefined)
      if (at === undefined) this.#forget(path)
      else this.#size(path, at.size)
    }
    for (const path of this.#aside()) {
      const at = nameOf(path)?.rotated ?? 0
      if (this.#now() - at >= this.bounds.maxAgeMillis) await this.#remove(path)
    }
  }

  #lose(lines: number, reason: string): void {
    this.#lost += lines
    if (this.#failing) return
    this.#failing = true
    // What comes and goes is not said each time.
    if (reason === this.#told && this.#now() - this.#toldAt < LOOK_EVERY) return
    this.#told = reason
    this.#toldAt = this.#now()
    this.#onLoss(reason)
  }

  /** Where even this cannot be written, the disk is what `doctor` finds. */
  async #note(reason: string | undefined): Promise<void> {
    const note = {
      lines: this.#lost,
      at: new Date(this.#now()).toISOString(),
      ...(reason === undefined ? {} : { reason })
    }
    await writeFile(join(this.dir, LOST_FILE), `${JSON.stringify(note)}\n`, { mode: 0o600 }).catch(() => {})
  }
}

/** Lines in portions that are written at once. */
function* pieces(lines: ReadonlyArray<string>): Iterable<ReadonlyArray<string>> {
  let piece: Array<string> = []
  let bytes = 0
  for (const line of lines) {
    const more = Buffer.byteLength(line) + 1
    if (bytes + more > MAX_PIECE && piece.length > 0) {
      yield piece
      piece = []
      bytes = 0
    }
    piece.push(line)
    bytes += more
  }
  if (piece.length > 0) yield piece
}

const writeWhole = async (file: Awaited<ReturnType<typeof open>>, bytes: Uint8Array) => {
  for (let from = 0; from < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, from, bytes.length - from)
    if (bytesWritten === 0) throw Object.assign(new Error("nothing more was taken"), { code: "ENOSPC" })
    from += bytesWritten
  }
}

/** Every log file below `dir`, as a path below it. */
export const logFilesIn = async (dir: string): Promise<ReadonlyArray<string>> => {
  const list = async (below: string) =>
    (await readdir(join(dir, below)).catch(() => [])).map((name) => join(below, name)).filter((path) => nameOf(path))
  return [...(await list("")), ...(await list("agents"))]
}

export interface LogState {
  readonly files: number
  readonly bytes: number
  /** Where lines were lost, and, while they are, why. */
  readonly lost?: { readonly lines: number; readonly at: string; readonly reason?: string } | undefined
}

const Lost = Schema.fromJsonString(
  Schema.Struct({ lines: Schema.Int, at: Schema.String, reason: Schema.optionalKey(Schema.String) })
)

/** For who looks from outside. */
export const stateIn = async (dir: string): Promise<LogState> => {
  const paths = await logFilesIn(dir)
  const sizes = await Promise.all(
    paths.map((path) =>
      stat(join(dir, path)).then(
        ({ size }) => size,
        () => 0
      )
    )
  )
  const text = await readFile(join(dir, LOST_FILE), "utf8").catch(() => "")
  return {
    files: paths.length,
    bytes: sizes.reduce((sum, size) => sum + size, 0),
    lost: Option.getOrUndefined(Schema.decodeOption(Lost)(text))
  }
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined

const reasonOf = (error: unknown): string => codeOf(error) ?? (error instanceof Error ? error.message : String(error))
