/**
 * The secrets of `transport` as the runtime keeps them: what a variable holds is Redacted once and for all, what a file
 * holds is read again whenever it is needed, wherever the runtime runs by then.
 */
import { resolve } from "node:path"
import { Redacted } from "effect"
import type { HiddenSecret } from "../domain/Secret.ts"
import type { TransportSettings } from "../transport/TransportSettings.ts"
import { keyOf } from "./Finding.ts"

type Found = ReadonlyMap<string, Redacted.Redacted>

/** Those that must never be shown: certificates are no secrets. */
export const hiddenOf = (found: Found): ReadonlyArray<Redacted.Redacted> =>
  [...found].flatMap(([place, secret]) => (OPEN.has(place) ? [] : [secret]))

const OPEN = new Set([keyOf(["transport", "tls", "ca"]), keyOf(["transport", "tls", "cert"])])

export const found = ({ tls, ...settings }: TransportSettings, baseDir: string, all: Found): TransportSettings => {
  const one = (path: ReadonlyArray<string>, secret: HiddenSecret): HiddenSecret =>
    !Redacted.isRedacted(secret) && "file" in secret
      ? { file: resolve(baseDir, secret.file) }
      : (all.get(keyOf(["transport", ...path])) ?? secret)
  const { credentials, nkey, password, token } = settings
  return {
    ...settings,
    ...(password === undefined ? {} : { password: one(["password"], password) }),
    ...(token === undefined ? {} : { token: one(["token"], token) }),
    ...(nkey === undefined ? {} : { nkey: one(["nkey"], nkey) }),
    ...(credentials === undefined ? {} : { credentials: one(["credentials"], credentials) }),
    ...(tls === undefined
      ? {}
      : {
          tls: {
            ...(tls.ca === undefined ? {} : { ca: one(["tls", "ca"], tls.ca) }),
            ...(tls.cert === undefined ? {} : { cert: one(["tls", "cert"], tls.cert) }),
            ...(tls.key === undefined ? {} : { key: one(["tls", "key"], tls.key) })
          }
        })
  }
}
