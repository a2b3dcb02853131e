/** What the router needs of whoever moves bytes. The room transport/ has it, in memory and over NATS; a test may have its own. */
import type { Duration, Effect, Scope, Stream } from "effect"
import type { Fault } from "../domain/Fault.ts"

export type Headers = Readonly<Record<string, string>>

/** Bytes that arrived. They are not to be changed. */
export interface Packet {
  readonly subject: string
  readonly data: Uint8Array
  readonly headers: Headers
  /** Where an answer is expected. */
  readonly reply: string | undefined
  respond(data: Uint8Array, options?: { readonly headers?: Headers }): Effect.Effect<void, Fault>
}

export interface MessagePort {
  publish(subject: string, data: Uint8Array, options?: { readonly headers?: Headers }): Effect.Effect<void, Fault>
  /** Live once the Effect completes; ends with the Scope. Of a queue group, one gets a message. */
  subscribe(
    subject: string,
    options?: { readonly queue?: string }
  ): Effect.Effect<Stream.Stream<Packet, Fault>, Fault, Scope.Scope>
  /** The first answer. */
  request(
    subject: string,
    data: Uint8Array,
    options: { readonly deadline: Duration.Input; readonly headers?: Headers }
  ): Effect.Effect<Packet, Fault>
}
