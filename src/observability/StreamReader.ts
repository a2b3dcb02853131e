/**
 * Reads an agent's `ID.stream.log`, and what was put aside of it, and goes on where it ended.
 *
 * Promises: every whole line once, the oldest first, across any number of files put aside between two looks; half a line
 * waits for its other half; what is no line of a stream is passed over. The file that is written to is known by being
 * open here, not by its name, so that its end is read also when it was put aside or removed meanwhile; one put aside is
 * final, and known by its time.
 */
import { type FileHandle, open, stat } from "node:fs/promises"
import { join } from "node:path"
import { logFilesIn } from "./LogFiles.ts"
import { agentStream, DIR, nameOf } from "./LogNames.ts"

export interface StreamLine {
  /** When it came, in milliseconds since the epoch. */
  readonly at: number
  /** As the CLI has printed it. */
  readonly text: string
}

/** Read at once, in bytes. */
const PIECE = 256 * 1024
/** What is read of a line, in bytes: longer ones are never written. */
const LONGEST = 1024 * 1024

/** As it stands in the file: a time, a space, and JSON. */
export const streamLine = (at: Date, text: string): string => `${at.toISOString()} ${text}`

const WRITTEN = /^(\d{4}-\d\d-\d\dT[\d:.]+Z) (\{.*\})$/

const lineIn = (written: string): StreamLine | undefined => {
  const [, time, text] = WRITTEN.exec(written) ?? []
  return time === undefined || text === undefined ? undefined : { at: Date.parse(time), text }
}

/** One file, from where it was left. */
class Reading {
  readonly handle: FileHandle
  readonly ino: bigint
  #offset = 0
  #rest: Buffer = Buffer.alloc(0)

  constructor(handle: FileHandle, ino: bigint) {
    this.handle = handle
    this.ino = ino
  }

  static async open(path: string): Promise<Reading | undefined> {
    try {
      const handle = await open(path, "r")
      return new Reading(handle, (await handle.stat({ bigint: true })).ino)
    } catch {
      return undefined
    }
  }

  /** Every line that is whole by now. */
  async *lines(): AsyncGenerator<StreamLine> {
    for (;;) {
      const piece = Buffer.alloc(PIECE)
      const { bytesRead } = await this.handle.read(piece, 0, PIECE, this.#offset)
      if (bytesRead === 0) return
      this.#offset += bytesRead
      const all = Buffer.concat([this.#rest, piece.subarray(0, bytesRead)])
      const end = all.lastIndexOf(10)
      const rest = all.subarray(end + 1)
      this.#rest = Buffer.from(rest.length > LONGEST ? rest.subarray(0, LONGEST) : rest)
      if (end === -1) continue
      for (const written of all.toString("utf8", 0, end).split("\n")) {
        const line = lineIn(written)
        if (line !== undefined) yield line
      }
    }
  }
}

export class StreamReader {
  readonly #dir: string
  readonly #name: string
  #current: Reading | undefined
  /** Everything that was put aside until then has been read, or is older than what is wanted. */
  #until: number

  /** `since` in milliseconds since the epoch. */
  constructor(dataDir: string, agent: string, since = 0) {
    this.#dir = join(dataDir, DIR)
    this.#name = agentStream(agent)
    this.#until = since - 1
  }

  /** What has come since the last look. One look at a time. */
  async *look(): AsyncGenerator<StreamLine> {
    for (;;) {
      if (this.#current === undefined) {
        // Opened before the others are listed: one that is put aside in between is the open one, and not missed.
        const live = await Reading.open(this.#live)
        this.#current = live
        for (const { at, path } of await this.#aside()) {
          const aside = await Reading.open(path)
          if (aside === undefined) continue
          try {
            if (aside.ino === live?.ino) continue
            yield* aside.lines()
            this.#until = at
          } finally {
            await aside.handle.close()
          }
        }
        if (live === undefined) return
      }
      const current = this.#current
      if (current === undefined) return
      yield* current.lines()
      if ((await inoOf(this.#live)) === current.ino) return
      // Written to between the last piece and its being put aside; never after.
      yield* current.lines()
      for (const { at, path } of await this.#aside()) if ((await inoOf(path)) === current.ino) this.#until = at
      await this.close()
    }
  }

  async close(): Promise<void> {
    const current = this.#current
    this.#current = undefined
    await current?.handle.close()
  }

  get #live(): string {
    return join(this.#dir, `${this.#name}.log`)
  }

  /** Not read yet, the oldest first. */
  async #aside(): Promise<ReadonlyArray<{ readonly at: number; readonly path: string }>> {
    return (await logFilesIn(this.#dir))
      .flatMap((path) => {
        const named = nameOf(path)
        return named?.name === this.#name && named.rotated !== undefined && named.rotated > this.#until
          ? [{ at: named.rotated, path: join(this.#dir, path) }]
          : []
      })
      .sort((a, b) => a.at - b.at)
  }
}

const inoOf = (path: string): Promise<bigint | undefined> =>
  stat(path, { bigint: true }).then(
    ({ ino }) => ino,
    () => undefined
  )
