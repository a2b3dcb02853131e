/**
 * Asks and tells a running node. A refusal of the node comes back as the typed error it was; where there is no node to
 * answer it is `NodeUnreachable`, and `NodeLost` where the node went away, or was not understood, in the middle.
 */
import { Context, Effect, Layer, Schema, Stream } from "effect"
import { HttpClientError } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import type { TaskResult } from "../domain/Task.ts"
import { NodeLost, NodeUnreachable } from "./AdminError.ts"
import { Api } from "./Api.ts"
import type { EventView } from "./EventView.ts"
import { tooLong } from "./Socket.ts"
import { SocketHttp } from "./SocketHttp.ts"
import { resultOf } from "./TaskView.ts"

/** An answer that waits for nothing is there by then, or the node hangs. */
const PATIENCE = "15 seconds"

type Client = HttpApiClient.ForApi<typeof Api>
type Ours = HttpClientError.HttpClientError | Schema.SchemaError

/** Which events are wanted: see `GET /events`. */
export interface Wanted {
  readonly follow: boolean
  readonly last?: number
  readonly task?: string
  readonly agent?: string
}

export class AdminClient extends Context.Service<
  AdminClient,
  {
    readonly socket: string
    /** Anything that is answered at once. */
    ask<A, E>(
      ask: (client: Client) => Effect.Effect<A, E>
    ): Effect.Effect<A, Exclude<E, Ours> | NodeUnreachable | NodeLost>
    /** Anything that may take as long as it takes. */
    wait<A, E>(
      ask: (client: Client) => Effect.Effect<A, E>
    ): Effect.Effect<A, Exclude<E, Ours> | NodeUnreachable | NodeLost>
    /** Waits for the end of a task. */
    result(
      task: string
    ): Effect.Effect<TaskResult, Exclude<ErrorOf<Client["result"]>, Ours> | NodeUnreachable | NodeLost>
    /** Live once the Effect completes; ends when the node does. */
    events(
      wanted: Wanted
    ): Effect.Effect<
      Stream.Stream<typeof EventView.Type, NodeLost>,
      Exclude<ErrorOf<Client["events"]>, Ours> | NodeUnreachable | NodeLost
    >
  }
>()("mister-smith/admin/AdminClient") {
  /** Talks to the node behind this socket. Nothing is sent until something is asked. */
  static readonly layer = (socket: string) =>
    Layer.effect(
      AdminClient,
      Effect.gen(function* () {
        const connect = yield* (yield* SocketHttp).connect
        const http = yield* Layer.build(connect({ socketPath: socket }))
        // The name is for the Host header only.
        const client = yield* Effect.provideContext(HttpApiClient.make(Api, { baseUrl: "http://localhost" }), http)
        const translate = <E>(error: E): Exclude<E, Ours> | NodeUnreachable | NodeLost => {
          if (HttpClientError.isHttpClientError(error)) return failed(socket, error)
          if (Schema.isSchemaError(error)) return new NodeLost({ socket, reason: "it was not understood" })
          return error as Exclude<E, Ours>
        }
        const wait = <A, E>(ask: (client: Client) => Effect.Effect<A, E>) =>
          tooLong(socket)
            ? Effect.fail(new NodeUnreachable({ socket, reason: "its path is too long" }))
            : Effect.mapError(ask(client), translate)
        return AdminClient.of({
          socket,
          wait,
          ask: (ask) =>
            Effect.timeoutOrElse(wait(ask), {
              duration: PATIENCE,
              orElse: () => Effect.fail(new NodeLost({ socket, reason: `nothing came within ${PATIENCE}` }))
            }),
          result: (task) =>
            Effect.map(
              wait((client) => client.result({ params: { id: task } })),
              resultOf
            ),
          events: (query) =>
            Effect.map(
              wait((client) => client.events({ headers: {}, query })),
              (events) =>
                events.pipe(
                  Stream.map(({ data }) => data),
                  Stream.mapError(
                    (error) =>
                      new NodeLost({
                        socket,
                        reason: HttpClientError.isHttpClientError(error) ? codeOf(error) : "it was not understood"
                      })
                  )
                )
            )
        })
      })
    )
}

type ErrorOf<F> = F extends (...args: infer _Args) => Effect.Effect<infer _A, infer E, infer _R> ? E : never

/** The errno of a connection that was not had, or what else is known. */
const codeOf = (error: HttpClientError.HttpClientError): string => {
  const { reason } = error
  const cause: unknown = "cause" in reason ? reason.cause : undefined
  if (cause instanceof Error) return "code" in cause && typeof cause.code === "string" ? cause.code : cause.message
  if (error.response !== undefined && error.response.status >= 300)
    return `it answered with status ${error.response.status}`
  return ("description" in reason ? reason.description : undefined) ?? reason._tag
}

/** Errors after which nobody was there to hear what was sent. */
const UNHEARD = new Set(["ENOENT", "ECONNREFUSED", "EACCES", "EPERM", "ENOTSOCK", "ENOTDIR", "FailedToOpenSocket"])

const failed = (socket: string, error: HttpClientError.HttpClientError): NodeUnreachable | NodeLost => {
  const reason = codeOf(error)
  return error.reason._tag === "TransportError" && UNHEARD.has(reason)
    ? new NodeUnreachable({ socket, reason })
    : new NodeLost({ socket, reason })
}
