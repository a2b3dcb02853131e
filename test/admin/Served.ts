/** A served node for tests: a stand-in for the node behind the real server, on a real socket. */
import { request } from "node:http"
import { layerNodeHttpOptions } from "@effect/platform-node/NodeHttpClient"
import { layer as listen } from "@effect/platform-node/NodeHttpServer"
import { layer as nodeServices } from "@effect/platform-node/NodeServices"
import { Effect, Layer, Schema } from "effect"
import { AdminClient } from "../../src/admin/AdminClient.ts"
import * as AdminServer from "../../src/admin/AdminServer.ts"
import { History } from "../../src/admin/History.ts"
import { Operated } from "../../src/admin/Operated.ts"
import { socketIn } from "../../src/admin/Socket.ts"
import { SocketHttp } from "../../src/admin/SocketHttp.ts"
import { noUsage } from "../../src/domain/Task.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import type { TaskRecord } from "../../src/task/TaskLedger.ts"
import { TaskSpec } from "../../src/task/TaskSpec.ts"
import { tempDir } from "../utils/Binary.ts"

export const http = SocketHttp.layer({ server: async () => listen, client: async () => layerNodeHttpOptions })

export const record = (id: string, more: Partial<TaskRecord> = {}): TaskRecord => ({
  id,
  spec: Schema.decodeUnknownSync(TaskSpec)({ id, prompt: `do ${id}` }),
  state: "queued",
  attempt: 0,
  before: 0,
  interruptions: 0,
  endedAt: undefined,
  leaseUntil: undefined,
  beginBy: undefined,
  endBy: undefined,
  series: undefined,
  occursAt: undefined,
  agent: undefined,
  submittedAt: 1000,
  startedAt: undefined,
  dueAt: undefined,
  lastFault: undefined,
  usage: noUsage,
  result: undefined,
  ...more
})

/** A directory of the test's own. */
export const directory = Effect.map(
  Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]())),
  ({ path }) => path
)

/** A node that has what is given, and dies of what is not. */
export const node = (has: Partial<Operated["Service"]>) => Layer.mock(Operated, has)

/** Serves in a directory until the Scope closes, and gives a client. The EventBus is the caller's. */
export const served = Effect.fnUntraced(function* (dataDir: string, has: Partial<Operated["Service"]>) {
  const history = yield* Layer.build(History.layer)
  yield* AdminServer.serve({ dataDir, name: "n" }).pipe(Effect.provide(node(has)), Effect.provideContext(history))
  return yield* client(socketIn(dataDir))
})

export const client = (socket: string) =>
  Effect.flatMap(Layer.build(AdminClient.layer(socket)), (context) => Effect.provideContext(AdminClient, context))

export const services = () => Layer.mergeAll(EventBus.layer, http, nodeServices)

/** One request as anybody may send it. */
export const ask = (
  socketPath: string,
  method: string,
  path: string,
  options: { readonly body?: string; readonly headers?: Record<string, string> } = {}
) =>
  Effect.promise(
    () =>
      new Promise<{ readonly status: number; readonly body: string }>((resolve, reject) => {
        const sent = request({ socketPath, method, path, headers: options.headers ?? {} }, (response) => {
          let body = ""
          response.setEncoding("utf8")
          response.on("data", (text: string) => {
            body += text
          })
          response.on("end", () => resolve({ status: response.statusCode ?? 0, body }))
          response.on("error", reject)
        })
        sent.on("error", reject)
        sent.end(options.body)
      })
  )
