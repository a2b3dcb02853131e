/** What is behind a socket need not be a node, and a node need not be well. */
import { createServer, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { NodeLost } from "../../src/admin/AdminError.ts"
import { socketIn } from "../../src/admin/Socket.ts"
import { client, directory, services } from "./Served.ts"

/** Listens, and does this with whoever has sent something. */
const behind = Effect.fnUntraced(function* (answer: (socket: Socket) => void) {
  const path = socketIn(yield* directory)
  const open = new Set<Socket>()
  const heard = yield* Deferred.make<void>()
  yield* Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer((socket) => {
            open.add(socket)
            socket.on("error", () => {})
            socket.once("data", () => {
              Deferred.doneUnsafe(heard, Exit.void)
              answer(socket)
            })
          }).listen(path, () => resolve(server))
        })
    ),
    (server) =>
      Effect.sync(() => {
        for (const socket of open) socket.destroy()
        server.close()
      })
  )
  return { heard: Deferred.await(heard), node: yield* client(path) }
})

const said = (error: unknown) => {
  assert.instanceOf(error, NodeLost)
  assert.strictEqual(error.exitCode, 3)
  assert.isDefined(error.hint)
  return error.message
}

describe("an answer", () => {
  const answers: Readonly<Record<string, string>> = {
    "that is no HTTP": "SSH-2.0-OpenSSH_9.2\r\n",
    "that is cut off": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
    "that is not JSON": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{",
    "of other fields": 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"pid":"x"}',
    "that never was begun": ""
  }
  for (const [what, answer] of Object.entries(answers)) {
    it.live(`${what} is a node that was lost, told in a sentence`, () =>
      Effect.gen(function* () {
        const { node } = yield* behind((socket) => void socket.end(answer))
        const message = said(yield* Effect.flip(node.ask((client) => client.node())))
        assert.match(message, /^the node at .*admin\.sock did not finish its answer: ./)
        assert.notInclude(message, "\n")
      }).pipe(Effect.provide(services()))
    )
  }

  it.live("of a status that no route has names it", () =>
    Effect.gen(function* () {
      const answer = "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n"
      const { node } = yield* behind((socket) => void socket.end(answer))
      assert.include(said(yield* Effect.flip(node.ask((client) => client.node()))), "status 413")
    }).pipe(Effect.provide(services()))
  )

  it.effect("that does not come is waited for 15 seconds where it should come at once", () =>
    Effect.gen(function* () {
      const { heard, node } = yield* behind(() => {})
      const asked = yield* Effect.forkChild(Effect.flip(node.ask((client) => client.node())))
      yield* heard
      yield* TestClock.adjust("14999 millis")
      assert.isUndefined(asked.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.include(said(yield* Fiber.join(asked)), "nothing came within 15 seconds")
    }).pipe(Effect.provide(services()))
  )

  it.effect("for which a task must end first is waited for as long as it takes", () =>
    Effect.gen(function* () {
      const { heard, node } = yield* behind(() => {})
      const asked = yield* Effect.forkChild(node.result("t"))
      yield* heard
      yield* TestClock.adjust("100 days")
      assert.isUndefined(asked.pollUnsafe())
    }).pipe(Effect.provide(services()))
  )

  it.live("of events that is cut off is told as that after the events it had", () =>
    Effect.gen(function* () {
      const chunk = 'id: r-1\nevent: x\ndata: {"type":"x","seq":1,"at":1}\n\n'
      const { node } = yield* behind((socket) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        socket.end(`${chunk.length.toString(16)}\r\n${chunk}\r\n`)
      })
      const events = yield* node.events({ follow: true })
      const seen: Array<unknown> = []
      const error = yield* Effect.flip(Stream.runForEach(events, (event) => Effect.sync(() => seen.push(event))))
      assert.deepStrictEqual(seen, [{ type: "x", seq: 1, at: 1 }])
      said(error)
    }).pipe(Effect.provide(services()))
  )
})
