/**
 * Splits the bytes of a child's output into lines, chunk by chunk.
 *
 * Promises: synchronous and never throws; the same lines for the same bytes, however they are cut into chunks; LF and
 * CRLF; each invalid UTF-8 sequence becomes U+FFFD and is counted; a line longer than `maxLine` bytes is dropped,
 * counted and its beginning kept, and reading goes on at the next newline; of a line that is not complete at most
 * `maxLine` bytes are held. What a line means is left to the reader.
 *
 * Newlines are looked for in the bytes and every run of complete lines is decoded at once: a chunk of many lines is
 * never copied, and a long line in many chunks is copied once into a buffer that doubles.
 */

export interface LinesOptions {
  /** The longest line that is let through, in bytes without its newline. Default 32 MiB. */
  readonly maxLine?: number
}

/** The beginning of a line that was too long: at most 4 KiB of it. */
export type Overlong = string

export const DEFAULT_MAX_LINE = 32 * 1024 * 1024
const LF = 10
/** Kept of a line that was too long, in bytes, where so much may be held. */
const KEPT_HEAD = 4096
/** So many of the last ones are kept. */
const KEPT_LINES = 20
/** A buffer larger than this is given back after the line that needed it. */
const KEPT_BUFFER = 256 * 1024
const EMPTY = new Uint8Array(0)
const NONE: ReadonlyArray<string> = []

// A byte order mark is data like any other here: were it dropped, the lines would depend on where the chunks begin.
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })

export class Lines {
  readonly #maxLine: number
  /** The beginning of a line that is not complete, in the first `#held` bytes. */
  #buffer: Uint8Array = EMPTY
  #held = 0
  /** Within a line that is too long: skip to its end. */
  #dropping = false
  #overlong = 0
  #invalid = 0
  readonly #kept: Array<Overlong> = []

  constructor(options: LinesOptions = {}) {
    this.#maxLine = options.maxLine ?? DEFAULT_MAX_LINE
  }

  /** How many lines were too long. */
  get overlong(): number {
    return this.#overlong
  }

  /** How many invalid UTF-8 sequences were replaced. */
  get invalid(): number {
    return this.#invalid
  }

  /** The beginnings of the last lines that were too long, oldest first. */
  get kept(): ReadonlyArray<Overlong> {
    return this.#kept
  }

  /** Bytes of an incomplete line that are held now; never more than `maxLine`. */
  get held(): number {
    return this.#held
  }

  /** The lines that this chunk completes, without their line ends. The chunk is not kept. */
  push(chunk: Uint8Array): ReadonlyArray<string> {
    let start = 0
    let first: string | undefined
    if (this.#dropping || this.#held > 0) {
      const newline = chunk.indexOf(LF)
      if (newline === -1) {
        this.#hold(chunk)
        return NONE
      }
      this.#hold(chunk.subarray(0, newline))
      first = this.#release()
      start = newline + 1
    }
    const end = chunk.lastIndexOf(LF)
    const lines = end < start ? NONE : this.#split(chunk.subarray(start, end))
    this.#hold(chunk.subarray(Math.max(start, end + 1)))
    return first === undefined ? lines : lines === NONE ? [first] : [first, ...lines]
  }

  /** What is left when the output has ended: a last line without a newline. */
  end(): ReadonlyArray<string> {
    const rest = this.#held === 0 && !this.#dropping ? undefined : this.#release()
    return rest === undefined ? NONE : [rest]
  }

  /** Complete lines, the newline after the last one cut off. */
  #split(block: Uint8Array): ReadonlyArray<string> {
    if (block.length > this.#maxLine) return this.#splitOneByOne(block)
    const text = this.#decode(block)
    const lines = text.split("\n")
    if (text.includes("\r")) for (let i = 0; i < lines.length; i++) lines[i] = withoutReturn(lines[i] as string)
    return lines
  }

  /** Only in a block longer than `maxLine` can a line be too long. */
  #splitOneByOne(block: Uint8Array): ReadonlyArray<string> {
    const lines: Array<string> = []
    for (let start = 0; start <= block.length; ) {
      const newline = block.indexOf(LF, start)
      const end = newline === -1 ? block.length : newline
      const line = block.subarray(start, end)
      if (line.length > this.#maxLine) this.#drop(line)
      else lines.push(withoutReturn(this.#decode(line)))
      start = end + 1
    }
    return lines
  }

  /** Adds to the incomplete line. */
  #hold(bytes: Uint8Array): void {
    if (this.#dropping || bytes.length === 0) return
    const needed = this.#held + bytes.length
    if (needed > this.#maxLine) {
      const head = new Uint8Array(Math.min(this.#maxLine, KEPT_HEAD))
      head.set(this.#buffer.subarray(0, Math.min(this.#held, head.length)))
      if (this.#held < head.length) head.set(bytes.subarray(0, head.length - this.#held), this.#held)
      this.#drop(head)
      this.#dropping = true
      this.#held = 0
      this.#buffer = EMPTY
      return
    }
    if (needed > this.#buffer.length) {
      const larger = new Uint8Array(Math.min(this.#maxLine, Math.max(needed, this.#buffer.length * 2, 1024)))
      larger.set(this.#buffer.subarray(0, this.#held))
      this.#buffer = larger
    }
    this.#buffer.set(bytes, this.#held)
    this.#held = needed
  }

  /** The held line, now complete; undefined where it was too long. */
  #release(): string | undefined {
    const line = this.#dropping ? undefined : withoutReturn(this.#decode(this.#buffer.subarray(0, this.#held)))
    this.#dropping = false
    this.#held = 0
    if (this.#buffer.length > KEPT_BUFFER) this.#buffer = EMPTY
    return line
  }

  #drop(line: Uint8Array): void {
    this.#overlong++
    this.#kept.push(utf8.decode(line.subarray(0, Math.min(this.#maxLine, KEPT_HEAD))))
    if (this.#kept.length > KEPT_LINES) this.#kept.shift()
  }

  #decode(bytes: Uint8Array): string {
    const text = utf8.decode(bytes)
    if (text.includes("\uFFFD")) this.#invalid += replacements(text) - genuine(bytes)
    return text
  }
}

const withoutReturn = (line: string) => (line.endsWith("\r") ? line.slice(0, -1) : line)

const replacements = (text: string): number => {
  let count = 0
  for (let at = text.indexOf("\uFFFD"); at !== -1; at = text.indexOf("\uFFFD", at + 1)) count++
  return count
}

/** U+FFFD that the child wrote itself. EF only ever begins a character, so these three bytes are nothing else. */
const genuine = (bytes: Uint8Array): number => {
  let count = 0
  for (let at = bytes.indexOf(0xef); at !== -1; at = bytes.indexOf(0xef, at + 1)) {
    if (bytes[at + 1] === 0xbf && bytes[at + 2] === 0xbd) count++
  }
  return count
}
