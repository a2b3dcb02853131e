/** How messages of a fleet are sent: subjects under its prefix, the source in the envelope, signatures, and two lanes. */
import { Effect, Redacted, Result } from "effect"
import type { SecureRandom } from "effect/crypto/SecureRandom"
import type { KeyInvalid } from "../message/MessageError.ts"
import type { MessagePort } from "../message/MessagePort.ts"
import * as MessageRouter from "../message/MessageRouter.ts"
import * as SigningSettings from "../message/SigningSettings.ts"
import type { AgentStatus } from "../message/Status.ts"
import * as Subject from "../message/Subject.ts"
import type { TransportShape } from "../transport/Transport.ts"
import { Unacknowledged } from "./FleetError.ts"
import type { FleetSettings } from "./FleetSettings.ts"

export interface Speech {
  readonly subjects: Subject.Subjects
  /** A router with these handlers, over the same links, with the same signatures. */
  router(handlers: ReadonlyArray<MessageRouter.Handler>): Effect.Effect<MessageRouter.RouterShape, never, SecureRandom>
  /** What it publishes has arrived: a stream has acknowledged it, under the id of its message, or there is none. */
  readonly surely: Effect.Effect<MessageRouter.RouterShape, never, SecureRandom>
}

/** Who speaks, such as `node:edge-1`, and with what. */
export interface Speaker {
  readonly source: string
  readonly prefix: string | undefined
  readonly signing: FleetSettings["signing"]
  /** What `signing.seed` refers to. */
  readonly seed: Redacted.Redacted | undefined
}

export const make = Effect.fnUntraced(function* (
  transport: TransportShape,
  { prefix, seed, signing, source }: Speaker
): Effect.fn.Return<Speech, KeyInvalid, SecureRandom> {
  // A prefix of the settings' schema is one of the subjects' too.
  const subjects = Result.getOrThrow(Subject.make(prefix))
  const signatures =
    signing === undefined ? {} : yield* SigningSettings.from(signing, () => Effect.succeed(seed ?? Redacted.make("")))
  const port = portOf(transport, subjects)
  return {
    subjects,
    router: (handlers) => MessageRouter.make(port, { source, subjects, handlers, ...signatures }),
    surely: MessageRouter.make(surePort(transport, port), { source, subjects, handlers: [], ...signatures })
  }
})

/** How long an agent may take to say how it is. */
const STATUS_TIME = "2 seconds"

/** How an agent of any node is, by its own word; undefined where nobody says so in time. */
export const statusOf = (
  router: MessageRouter.RouterShape,
  subjects: Subject.Subjects,
  agent: string
): Effect.Effect<AgentStatus | undefined> =>
  Effect.fromResult(subjects.commands(agent)).pipe(
    Effect.flatMap((subject) =>
      router.request(
        subject,
        { type: "AgentCommand", body: { command: "status" }, target: `agent:${agent}` },
        { answer: "CommandReply", deadline: STATUS_TIME }
      )
    ),
    Effect.map(({ body }) => (body.done ? body.status : undefined)),
    Effect.orElseSucceed(() => undefined)
  )
/** How long a stream may take to acknowledge a message. */
const ACKNOWLEDGED = "5 seconds"
/** JetStream's own, by which it passes over what it has. */
const MESSAGE_ID = "Nats-Msg-Id"

const surePort = (transport: TransportShape, port: MessagePort): MessagePort => ({
  ...port,
  publish: (subject, data, options) =>
    Effect.gen(function* () {
      const { id } = JSON.parse(new TextDecoder().decode(data)) as { readonly id: string }
      const headers = { ...options?.headers, [MESSAGE_ID]: id }
      const { data: answer } = yield* transport.request(subject, data, {
        headers,
        deadline: ACKNOWLEDGED,
        lane: "bulk"
      })
      const said = new TextDecoder().decode(answer)
      if (said.includes('"error"')) return yield* new Unacknowledged({ subject, reason: said.slice(0, MAX_REASON) })
    }).pipe(
      // No stream keeps it.
      Effect.catchTag("NoResponders", () => port.publish(subject, data, options))
    )
})

/** Characters of it. */
const MAX_REASON = 200

/** What is much goes by the bulk link, so that it never stands in the way of what is urgent. */
const portOf = (transport: TransportShape, subjects: Subject.Subjects): MessagePort => ({
  ...transport,
  publish: (subject, data, options) => {
    const kind = subjects.read(subject)?.kind
    const lane = kind === "event" || kind === "progress" || kind === "result" ? "bulk" : "control"
    return transport.publish(subject, data, { ...options, lane })
  }
})
