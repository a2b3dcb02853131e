/**
 * What the CLI was given in confidence must not come back in its words: a program that fails may print anything, its
 * environment included.
 */
import { Redacted } from "effect"
import type { Result } from "./ClaudeResult.ts"

/** Shorter values are found in any text, and are no secrets. */
const SHORTEST_SECRET = 8

export type Hide = (text: string) => string

/** Hides the redacted values of this environment. */
export const hiding = (env: Readonly<Record<string, string | Redacted.Redacted>>): Hide => {
  const secrets = Object.values(env)
    .map((value) => (Redacted.isRedacted(value) ? Redacted.value(value) : ""))
    .filter((secret) => secret.length >= SHORTEST_SECRET)
  return (text) => secrets.reduce((hidden, secret) => hidden.replaceAll(secret, "…"), text)
}

export const withheld = (result: Result, hide: Hide): Result => ({
  ...result,
  ...(result.result === undefined ? {} : { result: hide(result.result) }),
  ...(result.errors === undefined ? {} : { errors: result.errors.map(hide) })
})
