/**
 * Who this node is to a server, and which servers it believes. Everything secret is looked up anew for each connection,
 * so that a file that was replaced counts from the next one on. What cannot be read is reported, and what it held before
 * is used: a server must never see a half of it.
 */
import { checkServerIdentity, type PeerCertificate } from "node:tls"
import { Cause, Effect, Exit, Redacted } from "effect"
import { type Authenticator, credsAuthenticator, nkeyAuthenticator } from "nats"
import { learn } from "../domain/Redaction.ts"
import type { HiddenSecret } from "../domain/Secret.ts"
import type { ReadSecret } from "./SecretSource.ts"
import { SecretUnreadable } from "./TransportError.ts"
import { insistsOnTls, type TransportSettings } from "./TransportSettings.ts"

export interface Tls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly checkServerIdentity: (name: string, certificate: PeerCertificate) => Error | undefined
}

export interface NatsSecurity {
  /** Answers a server's challenge. Never throws. */
  readonly authenticator: Authenticator
  /** For a connection to this host; undefined where a server without TLS is as good. */
  tls(host: string): Tls | undefined
}

export const make = (
  settings: TransportSettings,
  read: ReadSecret,
  report: (fault: SecretUnreadable) => void
): NatsSecurity => {
  const before = new Map<string, string>()

  const look = (setting: string, secret: HiddenSecret | undefined, hidden = true): string | undefined => {
    if (secret === undefined) return undefined
    const exit = Effect.runSyncExit(read(secret))
    if (Exit.isSuccess(exit)) {
      if (hidden) learn([exit.value])
      before.set(setting, Redacted.value(exit.value))
    } else {
      const reason = Cause.findErrorOption(exit.cause)
      report(new SecretUnreadable({ setting, reason: reason._tag === "Some" ? reason.value : "looking it up failed" }))
    }
    return before.get(setting)
  }

  /** What a broken seed or credentials file makes of itself is told, and the server refuses the rest. */
  const attempt = (setting: string, answer: () => ReturnType<Authenticator>): ReturnType<Authenticator> => {
    try {
      return answer()
    } catch {
      // The error may quote what it read.
      report(new SecretUnreadable({ setting, reason: "it is not what such a setting holds" }))
      return undefined
    }
  }

  return {
    authenticator: (nonce) => {
      const { user } = settings
      const password = look("transport.password", settings.password)
      const token = look("transport.token", settings.token)
      const nkey = look("transport.nkey", settings.nkey)
      const credentials = look("transport.credentials", settings.credentials)
      return {
        ...(user === undefined ? {} : { user, pass: password }),
        ...(token === undefined ? {} : { auth_token: token }),
        ...(nkey === undefined
          ? {}
          : attempt("transport.nkey", () => nkeyAuthenticator(encoder.encode(nkey.trim()))(nonce))),
        ...(credentials === undefined
          ? {}
          : attempt("transport.credentials", () => credsAuthenticator(encoder.encode(`${credentials}\n`))(nonce)))
      } as ReturnType<Authenticator>
    },
    tls: (host) => {
      if (!insistsOnTls(settings)) return undefined
      const ca = look("transport.tls.ca", settings.tls?.ca, false)
      const cert = look("transport.tls.cert", settings.tls?.cert, false)
      const key = look("transport.tls.key", settings.tls?.key)
      return {
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        // Asked for by address, a server is otherwise compared with "localhost".
        checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate)
      }
    }
  }
}

const encoder = new TextEncoder()
