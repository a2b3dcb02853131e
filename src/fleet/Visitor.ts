/**
 * Asks and tells a fleet without being a node of it, as commands do where no node runs: who is there, and an agent wherever it
 * is. Ends with the Scope, and leaves nothing at the servers.
 */
import { Context, Duration, Effect, Layer, References, type Scope } from "effect"
import type { SecureRandom } from "effect/crypto/SecureRandom"
import type { Fault } from "../domain/Fault.ts"
import { EventBus } from "../event/EventBus.ts"
import type { AgentCommand } from "../message/Command.ts"
import { type KeyInvalid, PeerFailed } from "../message/MessageError.ts"
import type { AgentStatus } from "../message/Status.ts"
import { visit } from "../task/JetStreamVisit.ts"
import type { TaskLedger } from "../task/TaskLedger.ts"
import * as NatsTransport from "../transport/NatsTransport.ts"
import { Transport } from "../transport/Transport.ts"
import type { TransportSettings } from "../transport/TransportSettings.ts"
import * as BucketRegistry from "./BucketRegistry.ts"
import { FleetUnreachable } from "./FleetError.ts"
import { ledgerBucketOf } from "./FleetSettings.ts"
import type { Listed } from "./NodeRecord.ts"
import * as Pinged from "./Pinged.ts"
import * as Registry from "./Registry.ts"
import * as Speech from "./Speech.ts"

/** How long a server may take to be there. */
const PATIENCE = Duration.seconds(10)
/** How long an agent may take: a stop waits until nothing is left of it. */
const DEADLINE = Duration.minutes(10)

export interface Visitor {
  readonly nodes: Effect.Effect<ReadonlyArray<Listed>, Fault>
  /** The tasks of the fleet, until the Scope closes. Fails where no node has ever kept them there. */
  readonly ledger: Effect.Effect<TaskLedger["Service"], Fault, SecureRandom | Scope.Scope>
  /** How the agent is after it, where its node knows. */
  tell(agent: string, command: AgentCommand): Effect.Effect<AgentStatus | undefined, Fault>
}

export const make = Effect.fnUntraced(function* (
  settings: TransportSettings,
  speaker: Omit<Speech.Speaker, "prefix">
): Effect.fn.Return<Visitor, FleetUnreachable | KeyInvalid, SecureRandom | Scope.Scope> {
  const context = yield* Layer.build(NatsTransport.layer(settings, { name: speaker.source })).pipe(
    // What becomes of its links is said by what becomes of the command.
    Effect.provideService(References.MinimumLogLevel, "None")
  )
  const transport = Context.get(context, Transport)
  const unreachable = (reason: string, advice?: string) =>
    new FleetUnreachable({
      servers: settings.servers.join(", "),
      reason,
      ...(advice === undefined ? {} : { advice })
    })
  yield* transport.ready.pipe(
    Effect.mapError(({ hint, message }) => unreachable(message, hint)),
    Effect.timeoutOrElse({
      duration: PATIENCE,
      orElse: () =>
        Effect.flatMap(transport.snapshot, ({ control, bulk }) => {
          const why = control.why ?? bulk.why
          const within = `no server took the connection within ${Duration.format(PATIENCE)}`
          return Effect.fail(unreachable(why === undefined ? within : `${within} (${why})`))
        })
    })
  )
  const { router, subjects } = yield* Speech.make(transport, { ...speaker, prefix: settings.prefix })
  const voice = yield* router([])
  const connections = Context.get(context, NatsTransport.NatsConnections)
  const { control } = connections
  return {
    ledger: visit(connections, ledgerBucketOf(settings.prefix)).pipe(Effect.provide(EventBus.layer)),
    nodes: Registry.orElse(
      BucketRegistry.make(control, { bucket: BucketRegistry.bucketOf(settings.prefix) }).list,
      Pinged.list(control, {
        prefix: settings.prefix,
        ask: (agent) => Speech.statusOf(voice, subjects, agent)
      })
    ),
    tell: Effect.fnUntraced(function* (agent, body): Effect.fn.Return<AgentStatus | undefined, Fault> {
      const subject = yield* Effect.fromResult(subjects.commands(agent))
      const { body: reply } = yield* voice.request(
        subject,
        { type: "AgentCommand", body, target: `agent:${agent}` },
        { answer: "CommandReply", deadline: DEADLINE }
      )
      return reply.done ? reply.status : yield* new PeerFailed({ subject, fault: reply.fault })
    })
  }
})
