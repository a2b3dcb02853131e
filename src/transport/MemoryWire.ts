/**
 * The home in memory: every subscription in one place, in which a message finds its readers while it is published. Both
 * lanes are the same, always up, and refuse no one.
 */
import { Effect, Random } from "effect"
import { type Headers, sizeOf } from "./Headers.ts"
import { isLiteral, matches } from "./Subjects.ts"
import { PayloadTooLarge } from "./TransportError.ts"
import type { Lane } from "./TransportStatus.ts"
import type { Arrived, Listener, Wire, Wires } from "./Wire.ts"

/** What one message may be with its headers: as a server that is not told otherwise. */
export const MAX_PAYLOAD = 1024 * 1024

export interface Options {
  /** Bytes. Default MAX_PAYLOAD. */
  readonly maxPayload?: number
}

/** Where all subscriptions of a process meet. */
export interface Hub {
  readonly maxPayload: number
  /** Who gets a message to this subject: all, and one of each group. */
  takers(subject: string): ReadonlyArray<Listener>
  add(subject: string, queue: string | undefined, listener: Listener): () => void
}

interface Entry {
  readonly words: ReadonlyArray<string>
  readonly queue: string | undefined
  readonly listener: Listener
}

export const hub = ({ maxPayload = MAX_PAYLOAD }: Options = {}): Effect.Effect<Hub> =>
  Effect.gen(function* () {
    const random = yield* Random.Random
    const literal = new Map<string, Set<Entry>>()
    const wild = new Set<Entry>()
    return {
      maxPayload,
      takers: (subject) => {
        const all: Array<Listener> = []
        let groups: Map<string, Array<Listener>> | undefined
        const take = ({ listener, queue }: Entry) => {
          if (queue === undefined) return void all.push(listener)
          groups ??= new Map()
          const group = groups.get(queue)
          if (group === undefined) groups.set(queue, [listener])
          else group.push(listener)
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
      add: (subject, queue, listener) => {
        const entry: Entry = { words: subject.split("."), queue, listener }
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
  () => {
    const wireOf = (lane: Lane): Wire => {
      let published = 0
      let received = 0
      const send = (subject: string, data: Uint8Array, headers: Headers, reply: string | undefined) => {
        const limit = maxPayload
        if (data.length + sizeOf(headers) > limit)
          return Effect.fail(new PayloadTooLarge({ subject, size: data.length, limit }))
        published++
        const listeners = takers(subject)
        if (listeners.length === 0) {
          if (reply !== undefined) deliver(reply, { ...NOBODY, subject: reply })
          return Effect.void
        }
        // The sender may go on to change it.
        const arrived = { subject, reply, data: data.slice(), headers, nobody: false }
        for (const listener of listeners) listener.message(arrived)
        return Effect.void
      }
      const deliver = (subject: string, arrived: Arrived) => {
        for (const listener of takers(subject)) listener.message(arrived)
      }
      return {
        lane,
        inboxPrefix: "_INBOX",
        publish: (subject, data, headers, reply) => Effect.suspend(() => send(subject, data, headers, reply)),
        listen: (subject, queue, { failed, message }) => {
          const stop = add(subject, queue, {
            failed,
            message: (arrived) => {
              received++
              message(arrived)
            }
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
          refused: undefined
        })
      }
    }
    return Effect.sync(() => ({ control: wireOf("control"), bulk: wireOf("bulk") }))
  }

const NOBODY: Omit<Arrived, "subject"> = { reply: undefined, data: new Uint8Array(0), headers: {}, nobody: true }
