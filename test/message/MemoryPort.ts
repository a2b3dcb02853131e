/** Moves bytes within a test, as the room transport/ does: wildcards, queue groups, answers. */
import { Cause, Deferred, Effect, Queue, Schema, type Scope, Stream } from "effect"
import { type Fault, follow } from "../../src/domain/Fault.ts"
import type { Headers, MessagePort, Packet } from "../../src/message/MessagePort.ts"

export class NoAnswer extends Schema.TaggedError<NoAnswer, Fault>("test/NoAnswer")("NoAnswer", {
  why: Schema.Literals(["nobody", "late"])
}) {
  static {
    follow(this, { severity: "low", recovery: "retry" })
  }
}

/** Whoever carries it broke. */
export class Broken extends Schema.TaggedError<Broken, Fault>("test/Broken")("Broken", {}) {
  static {
    follow(this, { severity: "low", recovery: "retry" })
  }
}

export interface Sent {
  readonly subject: string
  readonly data: Uint8Array
  readonly headers: Headers
}

export interface MemoryPort extends MessagePort {
  /** All that was published, in order. */
  readonly sent: Array<Sent>
  /** Delivers as a peer's message. */
  deliver(subject: string, data: Uint8Array, headers?: Headers, reply?: string): Effect.Effect<void>
  /** Ends all subscriptions. */
  end(fault?: Fault): Effect.Effect<void>
  /** Publishing on such subjects fails. */
  broken: RegExp | undefined
  /** What whoever is in the middle does with an answer. */
  tamper: (answer: Sent) => Sent
}

const matches = (pattern: string, subject: string): boolean => {
  const words = subject.split(".")
  const parts = pattern.split(".")
  if (parts.at(-1) === ">") return words.length >= parts.length && matchAll(parts.slice(0, -1), words)
  return words.length === parts.length && matchAll(parts, words)
}
const matchAll = (parts: ReadonlyArray<string>, words: ReadonlyArray<string>) =>
  parts.every((part, index) => part === "*" || part === words[index])

export const make = (): MemoryPort => {
  const subscriptions = new Set<{
    readonly pattern: string
    readonly group: string | undefined
    readonly queue: Queue.Queue<Packet, Fault | Cause.Done>
  }>()
  const route = (packet: Packet) => {
    const groups = new Set<string>()
    let reached = 0
    for (const { group, pattern, queue } of subscriptions) {
      if (!matches(pattern, packet.subject) || (group !== undefined && groups.has(group))) continue
      if (group !== undefined) groups.add(group)
      reached++
      Queue.offerUnsafe(queue, packet)
    }
    return reached
  }
  const quiet = { reply: undefined, respond: () => Effect.void }
  const port: MemoryPort = {
    sent: [],
    broken: undefined,
    tamper: (answer) => answer,
    publish: (subject, data, options) =>
      Effect.suspend(() => {
        if (port.broken?.test(subject) === true) return Effect.fail(new Broken())
        const headers = options?.headers ?? {}
        port.sent.push({ subject, data, headers })
        route({ ...quiet, subject, data, headers })
        return Effect.void
      }),
    deliver: (subject, data, headers = {}, reply) =>
      Effect.sync(() => void route({ ...quiet, subject, data, headers, reply })),
    subscribe: (pattern, options): Effect.Effect<Stream.Stream<Packet, Fault>, never, Scope.Scope> =>
      Effect.gen(function* () {
        const queue = yield* Queue.unbounded<Packet, Fault | Cause.Done>()
        const subscription = { pattern, group: options?.queue, queue }
        subscriptions.add(subscription)
        yield* Effect.addFinalizer(() => Effect.sync(() => subscriptions.delete(subscription)))
        return Stream.fromQueue(queue) as Stream.Stream<Packet, Fault>
      }),
    request: (subject, data, { deadline, headers = {} }) =>
      Effect.gen(function* () {
        const answered = yield* Deferred.make<Packet>()
        const reply = "_INBOX.1"
        port.sent.push({ subject, data, headers })
        const respond: Packet["respond"] = (data, options) =>
          Effect.suspend(() => {
            if (port.broken?.test(reply) === true) return Effect.fail(new Broken())
            const answer = port.tamper({ subject: reply, data, headers: options?.headers ?? {} })
            return Effect.asVoid(Deferred.succeed(answered, { ...quiet, ...answer }))
          })
        if (route({ subject, data, headers, reply, respond }) === 0) return yield* new NoAnswer({ why: "nobody" })
        return yield* Deferred.await(answered).pipe(
          Effect.timeoutOrElse({ duration: deadline, orElse: () => Effect.fail(new NoAnswer({ why: "late" })) })
        )
      }),
    end: (fault) =>
      Effect.sync(() => {
        for (const { queue } of subscriptions) {
          if (fault === undefined) Queue.endUnsafe(queue)
          else Queue.failCauseUnsafe(queue, Cause.fail(fault))
        }
      })
  }
  return port
}
