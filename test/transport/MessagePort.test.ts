/** That the messages' router can stand on a Transport as it is. */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { MessagePort } from "../../src/message/MessagePort.ts"
import { Transport } from "../../src/transport/Transport.ts"

it.live("a transport is what the message router needs", () =>
  Effect.gen(function* () {
    const port: MessagePort = yield* Transport
    const stream = yield* port.subscribe("questions", { queue: "all" })
    yield* Effect.forkScoped(
      Stream.runForEach(stream, (packet) => packet.respond(packet.data, { headers: { a: "b" } }))
    )
    const answer = yield* port.request("questions", Uint8Array.of(7), { deadline: "10 seconds" })
    assert.deepStrictEqual([[...answer.data], answer.headers["a"]], [[7], "b"])
  }).pipe(Effect.provide(Transport.layerMemory))
)
