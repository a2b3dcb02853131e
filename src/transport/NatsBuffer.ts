/**
 * What is about to leave by one connection, in one piece of memory and in order: commands of the client, and messages. The
 * client's own buffer is a list of pieces, three for each message, which it joins when they leave: that takes longer than
 * all the rest of publishing, and until then whoever publishes must not change what it has published. Here it is copied at once.
 */
import { DataBuffer, type ProtocolHandler } from "nats/lib/nats-base-client/internal_mod.js"

/** Bytes that are got at once. A little more than what the client sends in the midst of a turn. */
const ROOM = 40 * 1024
/** Subjects of which the beginning of the line is kept: most messages go to few of them. */
const MAX_KNOWN = 1024
/** Bytes: digits of any size, and the two line breaks. */
const FRAME = 24

const CR = 13
const LF = 10
const ZERO = 48
const NOTHING = new Uint8Array(0)
const encoder = new TextEncoder()

export class NatsBuffer extends DataBuffer {
  readonly #protocol: ProtocolHandler
  // `byteLength`, which is the client's, says how much of it is taken.
  #bytes: Uint8Array = NOTHING
  readonly #known = new Map<string, Uint8Array>()

  private constructor(protocol: ProtocolHandler) {
    super()
    this.#protocol = protocol
  }

  /** That of a connection: from now on one of these, with what the client's held. */
  static of(protocol: ProtocolHandler): NatsBuffer {
    const { outbound } = protocol
    if (outbound instanceof NatsBuffer) return outbound
    const buffer = new NatsBuffer(protocol)
    buffer.fill(outbound.drain())
    protocol.outbound = buffer
    return buffer
  }

  /** As the client's own, without headers: it leaves with all that is published in this turn, or when much waits. Checks nothing. */
  publish(subject: string, data: Uint8Array, reply: string | undefined): void {
    const protocol = this.#protocol
    const before = this.byteLength
    // With nothing in it the client sees to it that it leaves at the end of this turn.
    if (before === 0) protocol.sendCommand(NOTHING)
    const start = this.#startOf(subject)
    const back = reply === undefined ? undefined : encoder.encode(`${reply} `)
    const size = data.length
    this.#make(start.length + (back === undefined ? 0 : back.length) + size + FRAME)
    const bytes = this.#bytes
    let at = before
    bytes.set(start, at)
    at += start.length
    if (back !== undefined) {
      bytes.set(back, at)
      at += back.length
    }
    let digits = 1
    for (let power = 10; power <= size; power *= 10) digits++
    let rest = size
    for (let place = at + digits - 1; place >= at; place--) {
      const next = Math.trunc(rest / 10)
      bytes[place] = ZERO + rest - next * 10
      rest = next
    }
    at += digits
    bytes[at++] = CR
    bytes[at++] = LF
    bytes.set(data, at)
    at += size
    bytes[at++] = CR
    bytes[at++] = LF
    this.byteLength = at
    protocol.outMsgs++
    protocol.outBytes += size
    // With something in the buffer the client only looks whether that is much.
    if (before > 0 && at >= protocol.pendingLimit) protocol.sendCommand(NOTHING)
  }

  override fill(piece: Uint8Array, ...pieces: Array<Uint8Array>): void {
    this.#add(piece)
    for (const each of pieces) this.#add(each)
  }

  override drain(most = this.byteLength): Uint8Array {
    const bytes = this.#bytes
    const taken = Math.min(most, this.byteLength)
    // What has been handed out is the socket's. The rest is used as long as it is worth it: most often little leaves at once.
    this.#bytes = taken < this.byteLength || bytes.length - taken >= ROOM / 2 ? bytes.subarray(taken) : NOTHING
    this.byteLength -= taken
    return bytes.subarray(0, taken)
  }

  override reset(): void {
    this.drain()
  }

  override pack(): void {}

  override shift(): Uint8Array {
    return this.drain()
  }

  override peek(): Uint8Array {
    return this.#bytes.subarray(0, this.byteLength)
  }

  /** Pieces. */
  override length(): number {
    return this.byteLength === 0 ? 0 : 1
  }

  #startOf(subject: string): Uint8Array {
    const known = this.#known.get(subject)
    if (known !== undefined) return known
    if (this.#known.size === MAX_KNOWN) this.#known.clear()
    const start = encoder.encode(`PUB ${subject} `)
    this.#known.set(subject, start)
    return start
  }

  #add(piece: Uint8Array | undefined): void {
    if (piece === undefined || piece.length === 0) return
    this.#make(piece.length)
    this.#bytes.set(piece, this.byteLength)
    this.byteLength += piece.length
  }

  /** Room for so many more. */
  #make(more: number): void {
    const needed = this.byteLength + more
    if (needed <= this.#bytes.length) return
    // What it held before does not matter: only what is written leaves.
    const { buffer, byteOffset, length } = Buffer.allocUnsafeSlow(Math.max(needed, ROOM, this.#bytes.length * 2))
    const larger = new Uint8Array(buffer, byteOffset, length)
    larger.set(this.peek())
    this.#bytes = larger
  }
}
