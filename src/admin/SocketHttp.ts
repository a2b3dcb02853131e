/**
 * HTTP over a Unix socket, as the platform does it. The entry supplies it, because only the entry names a platform; both
 * halves are loaded when they are used, so that a command which needs neither pays for neither.
 */
import type { Server } from "node:http"
import { Context, Effect, Layer } from "effect"
import type { Etag, HttpClient, HttpPlatform, HttpServer, HttpServerError } from "effect/http"

/** Listens as soon as the Layer is built, and no longer when its Scope has closed. */
type Listen = (
  create: () => Server,
  options: { readonly path: string; readonly gracefulShutdownTimeout: number }
) => Layer.Layer<HttpServer.HttpServer | HttpPlatform.HttpPlatform | Etag.Generator, HttpServerError.ServeError>

type Connect = (options: { readonly socketPath: string }) => Layer.Layer<HttpClient.HttpClient>

export class SocketHttp extends Context.Service<
  SocketHttp,
  { readonly listen: Effect.Effect<Listen>; readonly connect: Effect.Effect<Connect> }
>()("mister-smith/admin/SocketHttp") {
  static readonly layer = (platform: {
    readonly server: () => Promise<Listen>
    readonly client: () => Promise<Connect>
  }) => Layer.succeed(this, { listen: Effect.promise(platform.server), connect: Effect.promise(platform.client) })
}
