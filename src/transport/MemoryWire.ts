/**
 * The home in memory: every subscription in one place, in which a message finds its readers while it is published. Both
 * lanes are the same, always up, and refuse no one.
 */
import { Effect, Random } from "effect"
import { type Headers, NO_HEADERS, sizeOf } from "./Headers.ts"
import { isLiteral, matches } from "./Subjects.ts"
import { PayloadTooLarge } from "./TransportError.ts"
import type { Lane } from "./TransportStatus.ts"
import { type Answer, Arrived, type Wire, type Wires } from "./Wire.ts"

/** What one message may be with its headers: as a server that is not told otherwise. */
export const MAX_PAYLOAD = 1024 * 1024

export interface Options {
  /** Bytes. Default MAX_PAYLOAD. */
  readonly maxPayload?: number
}

/** On its way. */
interface Sent {
  readonly subject: string
  readonly reply: string | undefined
  readonly data: Uint8Array
  readonly headers: Headers
  readonly nobody: boolean
}

type Taker = (sent: Sent) => void

/** Where all subscriptions of a process meet. */
export interface Hub {
  readonly maxPayload: number
  /** Who gets a message to this subject: all, and one of each group. */
  takers(subject: string): ReadonlyArray<Taker>
  add(subject: string, queue: string | undefined, taker: Taker): () => void
}

interface Entry {
  readonly words: ReadonlyArray<string>
  readonly queue: string | undefined
  readonly taker: Taker
}

export const hub = ({ maxPayload = MAX_PAYLOAD }: Options = {}): Effect.Effect<Hub> =>
  Effect.gen(function* () {
    const random = yield* Random.Random
    const literal = new Map<string, Set<Entry>>()
    const wild = new Set<Entry>()
    return {
      maxPayload,
      takers: (subject) => {
        const all: Array<Taker> = []
        let groups: Map<string, Array<Taker>> | undefined
        const take = ({ queue, taker }: Entry) => {
          if (queue === undefined) return void all.push(taker)
          groups ??= new Map()
          const group = groups.get(queue)
          if (group === undefined) groups.set(queue, [taker])
          else group.push(taker)
        }
        for (const entry of literal.get(subject) ?? []) take(entry)
        if (wild.size > 0) {
          const words = subject.split(".")
          for (const entry of wild) if (matches(entry.words, words)) take(entry)
        }
        for (const group of groups?.values() ?? []) {
          const one = group[Math.floor(random.nextDoubleUnsafe() * group.length)]
          if (one !== undefined) all.push(one)
        }
        return all
      },
      add: (subject, queue, taker) => {
        const entry: Entry = { words: subject.split("."), queue, taker }
        const place = isLiteral(subject) ? (literal.get(subject) ?? new Set<Entry>()) : wild
        place.add(entry)
        if (place !== wild) literal.set(subject, place)
        return () => {
          place.delete(entry)
          if (place !== wild && place.size === 0 && literal.get(subject) === place) literal.delete(subject)
        }
      }
    }
  })

/** One end at it. */
export const make =
  ({ add, maxPayload, takers }: Hub): Wires<never, never> =>
  (events) => {
    const wireOf = (lane: Lane): Wire => {
      let published = 0
      let received = 0
      const send = (subject: string, data: Uint8Array, headers: Headers, reply: string | undefined) => {
        const limit = maxPayload
        if (data.length + sizeOf(headers) > limit)
          return Effect.fail(new PayloadTooLarge({ subject, size: data.length, limit }))
        published++
        const found = takers(subject)
        if (found.length > 0) {
          // The sender may go on to change it.
          const sent = { subject, reply, data: data.slice(), headers, nobody: false }
          for (const take of found) take(sent)
        } else if (reply !== undefined) {
          for (const take of takers(reply)) take({ ...NOBODY, subject: reply })
        }
        return Effect.void
      }
      const { answer } = events(lane)
      return {
        lane,
        inboxPrefix: "_INBOX",
        publish: send,
        listen: (subject, queue, { message }) => {
          const stop = add(subject, queue, (sent) => {
            received++
            message(new MemoryArrived(sent, answer))
          })
          return { stop, drain: Effect.sync(stop) }
        },
        isUp: () => true,
        up: Effect.void,
        roundTrip: Effect.void,
        breaks: () => 0,
        down: () => ({ server: "memory", reason: "it never is" }),
        ready: Effect.void,
        reload: Effect.void,
        snapshot: () => ({
          state: "up",
          server: undefined,
          version: undefined,
          maxPayload,
          reconnects: 0,
          published,
          received,
          denied: 0,
          pendingBytes: 0,
          refused: undefined,
          why: undefined
        })
      }
    }
    return Effect.sync(() => ({ control: wireOf("control"), bulk: wireOf("bulk") }))
  }

const NOBODY: Omit<Sent, "subject"> = { reply: undefined, data: new Uint8Array(0), headers: NO_HEADERS, nobody: true }

class MemoryArrived extends Arrived {
  readonly #sent: Sent
  constructor(sent: Sent, answer: Answer) {
    super(answer)
    this.#sent = sent
  }
  get subject() {
    return this.#sent.subject
  }
  get reply() {
    return this.#sent.reply
  }
  get data() {
    return this.#sent.data
  }
  get headers() {
    return this.#sent.headers
  }
  get nobody() {
    return this.#sent.nobody
  }
}
