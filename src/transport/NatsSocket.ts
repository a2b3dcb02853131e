/**
 * The client's socket, with three of its habits cured. One that was dialled and given up is destroyed: a server that hangs
 * would collect one more with each try. One that is to end does end: the client waits for the last byte to leave, which
 * against a hung server is never. And what goes wrong is told, which the client keeps for itself while it tries again.
 */
import { NatsConnectionImpl, setTransportFactory } from "nats/lib/nats-base-client/internal_mod.js"
import { NodeTransport, nodeResolveHost } from "nats/lib/src/node_transport.js"
import type { NatsSecurity } from "./NatsSecurity.ts"

export { NatsConnectionImpl }

/** How long the last bytes may take to leave. */
export const LINGER = 1000

export interface SocketEvents {
  readonly security: NatsSecurity
  /** The handshake failed: certificates, or no TLS at the other end. */
  tlsFailed(reason: string): void
  /** The socket could not be opened, or ended with an error. */
  failed(reason: string): void
}

type Place = Parameters<NodeTransport["connect"]>[0]
type Options = Parameters<NodeTransport["connect"]>[1]

/** How a connection's options say whom its sockets tell. */
export interface WithSocketEvents {
  readonly socketEvents: SocketEvents
}

class NatsSocket extends NodeTransport {
  #events: SocketEvents | undefined
  #abandoned = false

  override async connect(place: Place, options: Options & Partial<WithSocketEvents>): Promise<void> {
    this.#events = options.socketEvents
    const host = place.tlsName || place.hostname
    const tls = this.#events?.security.tls(host)
    try {
      await super.connect(place, tls === undefined ? options : { ...options, tls: { ...options.tls, ...tls } })
    } catch (error) {
      if (codeOf(error) === "SERVER_OPT_NA") this.#events?.tlsFailed("the server speaks no TLS")
      else if (!this.#abandoned) this.#events?.failed(reasonOf(error))
      throw error
    }
    if (this.#abandoned) this.socket?.destroy()
  }

  override async startTLS() {
    try {
      return await super.startTLS()
    } catch (error) {
      const reason = reasonOf(error)
      this.#events?.tlsFailed(reason)
      throw error ?? new Error(reason)
    }
  }

  override setupHandlers() {
    const { socket } = this
    let heard = false
    socket.once("data", () => {
      heard = true
    })
    socket.once("close", () => {
      // With TLS 1.3 a client has finished before the server has looked at its certificate.
      if (!heard && !this.#abandoned && this.isEncrypted()) this.#events?.tlsFailed(UNWANTED)
    })
    socket.once("error", (error) => this.#events?.failed(reasonOf(error)))
    super.setupHandlers()
  }

  override async close(error?: Error): Promise<void> {
    this.#abandoned = true
    if (this.connected) {
      this.#endSoon()
      return super.close(error)
    }
    this.socket?.destroy()
  }

  override disconnect() {
    this.#endSoon()
    super.disconnect()
  }

  #endSoon() {
    const { socket } = this
    if (socket === undefined) return
    const timer = setTimeout(() => socket.destroy(), LINGER)
    socket.once("close", () => clearTimeout(timer))
    timer.unref?.()
  }
}

const UNWANTED =
  "the server ended the connection after the handshake, as it does when it wants a certificate of this node or does not trust the one it got"

const codeOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null && "code" in error ? error.code : undefined

const reasonOf = (error: unknown): string =>
  error instanceof Error && error.message !== ""
    ? error.message.slice(0, LONGEST)
    : String(codeOf(error) ?? "the server ended the connection")

/** Characters of an error's text. */
const LONGEST = 300

/**
 * The client makes its sockets in the way that the process told it last, so this is said anew before each try: another
 * user of the package may have said otherwise in between. Sockets of another user's connections are as they ever were,
 * but for being destroyed when they are given up.
 */
export const useSockets = (): void =>
  setTransportFactory({ factory: () => new NatsSocket() as never, dnsResolveFn: nodeResolveHost })
