/** What a person may set about signatures, and what the router makes of it. */
import { Effect, type Redacted, Schema } from "effect"
import type { SecureRandom } from "effect/crypto/SecureRandom"
import { SecretReference } from "../domain/Secret.ts"
import { duration } from "../domain/Setting.ts"
import type { KeyInvalid } from "./MessageError.ts"
import type { Options } from "./MessageRouter.ts"
import { PUBLIC_KEY } from "./NKey.ts"
import * as Signing from "./Signing.ts"

/** Keys that may be trusted. */
export const MAX_TRUSTED = 1000

const PublicKey = Schema.String.pipe(
  Schema.check(
    Schema.isPattern(PUBLIC_KEY, {
      message: 'expected a public NKey: "U", "A" or "O" and 55 capital letters and digits'
    })
  )
)

export const SigningSettings = Schema.Struct({
  seed: Schema.optionalKey(SecretReference).annotateKey({
    description:
      "Where the seed of this node's NKey is kept: all that it says is signed with it. Default: nothing is signed"
  }),
  trusted: Schema.Array(PublicKey)
    .pipe(
      Schema.check(Schema.isMaxLength(MAX_TRUSTED, { message: `expected at most ${MAX_TRUSTED} entries` })),
      Schema.withDecodingDefaultKey(Effect.succeed([]))
    )
    .annotateKey({ description: "The public keys of those who are believed. Default none" }),
  required: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(true))).annotateKey({
    description: "Refuse what is not signed by one of them. Default true"
  }),
  window: duration("5 minutes", "How far the time of a signature may be from the clock of this machine, either way.")
})
export type SigningSettings = typeof SigningSettings.Type

/** What speaks against them, with the key that it is about; undefined when nothing does. */
export const contradiction = (
  settings: SigningSettings
): { readonly key: "trusted" | "seed"; readonly problem: string } | undefined => {
  if (settings.required && settings.trusted.length === 0)
    return { key: "trusted", problem: "signatures are required, but nobody is trusted: every message would be refused" }
  if (!settings.required && settings.trusted.length === 0 && settings.seed === undefined)
    return {
      key: "seed",
      problem: "nothing is signed and nobody is trusted: say a seed, or trusted keys, or leave signing out"
    }
  return undefined
}

/** `reveal` looks a reference up. */
export const from = Effect.fn("SigningSettings.from")(function* <E>(
  { required, seed, trusted, window }: SigningSettings,
  reveal: (reference: typeof SecretReference.Type) => Effect.Effect<Redacted.Redacted, E>
): Effect.fn.Return<Pick<Options, "signer" | "verify">, E | KeyInvalid, SecureRandom> {
  const signer = seed === undefined ? undefined : yield* Signing.signer(yield* reveal(seed))
  const verifier = yield* Signing.verifier({ trusted, window })
  // Where nobody is trusted nothing can be checked, and a signature says nothing.
  return { signer, verify: required || trusted.length > 0 ? { verifier, required } : undefined }
})
