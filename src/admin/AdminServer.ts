/**
 * Lets a running node be operated: HTTP over a Unix socket in its data directory.
 *
 * Promises: only the user whose node it is may open the socket, from its first instant; a socket that a dead runtime has
 * left is replaced, which is safe because whoever serves holds the data directory; nothing that is sent can stop the node
 * or fill its memory, as bodies are bounded and readers of events cost no more than the History; what was begun for a
 * caller who has gone away is given up, except that no agent is left half stopped; closed with its Scope.
 */
import { chmodSync, mkdirSync, renameSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { join } from "node:path"
import { ByteSize, Clock, Deferred, Effect, Exit, Layer } from "effect"
import { HttpIncomingMessage, HttpRouter } from "effect/http"
import { VERSION } from "../domain/Version.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import { SocketUnusable } from "./AdminError.ts"
import { routes } from "./Handlers.ts"
import { socketIn, tooLong } from "./Socket.ts"
import { SocketHttp } from "./SocketHttp.ts"
import type { NodeView } from "./TreeView.ts"

/** The largest body, in bytes: a prompt of its greatest length with every character escaped, and a schema. */
export const MAX_BODY = 8 * 1024 * 1024

/** Where the socket is made. With its own name in it no longer than the socket's, whose path is near its limit. */
const NURSERY = ".door"

/** Requests that are being answered when the node stops may take so long to end, milliseconds. */
const GRACE = 1000

/**
 * Serves while its Scope lives; `SocketUnusable` where that cannot be. Whoever calls must hold the data directory.
 */
export const serve = Effect.fn("AdminServer.serve")(function* ({
  dataDir,
  name,
  standing
}: {
  readonly dataDir: string
  readonly name: string
  /** How the node is among others, at this moment. */
  readonly standing?: () => Pick<Partial<NodeView>, "mode" | "why" | "waiting">
}) {
  const socket = socketIn(dataDir)
  if (tooLong(socket)) return yield* new SocketUnusable({ socket, reason: "its path is too long" })
  const listen = yield* (yield* SocketHttp).listen
  const fixed = { name, version: VERSION, pid: process.pid, dataDir, startedAt: yield* Clock.currentTimeMillis }
  const self = () => ({ ...fixed, ...standing?.() })
  const closing = yield* Deferred.make<void>()
  const attempt = <A>(act: () => A) =>
    Effect.try({ try: act, catch: (error) => new SocketUnusable({ socket, reason: reasonOf(error) }) })
  // It is made where nobody else can come, and moved to its place, over one that was left, when its mode is right.
  const nursery = yield* Effect.acquireRelease(
    attempt(() => {
      const path = join(dataDir, NURSERY)
      // A runtime that was killed meanwhile has left it.
      rmSync(path, { recursive: true, force: true })
      mkdirSync(path, { mode: 0o700 })
      return path
    }),
    (made) => Effect.ignore(attempt(() => rmSync(made, { recursive: true, force: true })))
  )
  const born = join(nursery, "s")
  const server = createServer()
  server.on("request", (_, response) => response.once("finish", () => crashPoint("ack.sent")))
  yield* HttpRouter.serve(routes(self, closing), { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(Layer.succeed(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(MAX_BODY))),
    Layer.provide(listen(() => server, { path: born, gracefulShutdownTimeout: GRACE })),
    Layer.build,
    Effect.mapError(({ cause }) => new SocketUnusable({ socket, reason: reasonOf(cause) }))
  )
  yield* Effect.acquireRelease(
    attempt(() => {
      chmodSync(born, 0o600)
      crashPoint("socket.before")
      renameSync(born, socket)
      crashPoint("socket.after")
      rmSync(nursery, { recursive: true })
    }),
    () => Effect.ignore(attempt(() => rmSync(socket, { force: true })))
  )
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      // The first to be done at the end: who waits is told that it is in vain, instead of being cut off.
      Deferred.doneUnsafe(closing, Exit.void)
      // Who has connected and does not go away must not hold the node up.
      setTimeout(() => server.closeAllConnections(), GRACE).unref()
    })
  )
  return self
})

const reasonOf = (error: unknown): string =>
  error instanceof Error
    ? "code" in error && typeof error.code === "string"
      ? error.code
      : error.message
    : String(error)
