/**
 * How a person writes a value that nobody else may see: as text, or better as a reference to where it is kept. Whoever
 * loads the settings looks references up and makes them Redacted; nothing else ever holds the plain value.
 */
import { Schema } from "effect"

export const SecretReference = Schema.Union([
  Schema.Struct({ env: Schema.NonEmptyString }).annotate({
    description: "The environment variable that holds the secret"
  }),
  Schema.Struct({ file: Schema.NonEmptyString }).annotate({
    description: "The file that holds the secret, relative to the config file; a newline at its end is dropped"
  })
])

const expected = 'text, { "env": "NAME" } or { "file": "path" }'

export const Secret = Schema.Union([Schema.String, SecretReference]).annotate({
  expected,
  message: `expected ${expected}`
})
export type Secret = typeof Secret.Type

/** The same, where text is Redacted as soon as it is read. */
export const HiddenSecret = Schema.Union([Schema.RedactedFromValue(Schema.String), SecretReference]).annotate({
  expected,
  message: `expected ${expected}`
})
export type HiddenSecret = typeof HiddenSecret.Type
