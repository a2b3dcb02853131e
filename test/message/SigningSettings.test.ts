/** The settings of signatures do what they say, and say what is wrong with them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Redacted, Schema } from "effect"
import { layerWebCrypto } from "effect/crypto/SecureRandom"
import { createUser } from "nkeys.js"
import { contradiction, from, SigningSettings } from "../../src/message/SigningSettings.ts"

const decode = Schema.decodeUnknownSync(SigningSettings)
const key = createUser()
const seed = new TextDecoder().decode(key.getSeed())
const reveal = (reference: unknown) =>
  Effect.succeed(Redacted.make(JSON.stringify(reference).includes("SEED") ? `${seed}\n` : "hunter2"))

describe("the settings of signatures", () => {
  it.effect("sign with the seed that is referred to, and believe the keys that are trusted", () =>
    Effect.gen(function* () {
      const { signer, verify } = yield* from(decode({ seed: { env: "SEED" }, trusted: [key.getPublicKey()] }), reveal)
      assert.isTrue(verify?.required)
      const data = new Uint8Array([1])
      const header = yield* signer?.sign("s", data) ?? Effect.die("no signer")
      assert.strictEqual(
        yield* verify?.verifier.verify("s", data, header) ?? Effect.die("no verifier"),
        key.getPublicKey()
      )
    }).pipe(Effect.provide(layerWebCrypto))
  )

  it.effect("fail with a seed that is none, which is not told", () =>
    Effect.gen(function* () {
      const fault = yield* Effect.flip(from(decode({ seed: { file: "x" }, required: false }), reveal))
      assert.strictEqual(fault._tag, "KeyInvalid")
      assert.notInclude(JSON.stringify({ ...fault, message: fault.message }), "hunter2")
    }).pipe(Effect.provide(layerWebCrypto))
  )

  it.effect("check nothing where nobody is trusted and nothing is required", () =>
    Effect.gen(function* () {
      assert.isUndefined((yield* from(decode({ seed: { env: "SEED" }, required: false }), reveal)).verify)
    }).pipe(Effect.provide(layerWebCrypto))
  )

  it("take the seed as a reference only, and keys that are public", () => {
    for (const wrong of [{ seed }, { trusted: [seed] }, { trusted: ["U"] }, { window: "0 seconds" }, { window: 5 }])
      assert.isTrue(Exit.isFailure(Schema.decodeUnknownExit(SigningSettings)(wrong)), JSON.stringify(wrong))
  })

  it("say what contradicts itself", () => {
    assert.strictEqual(contradiction(decode({ seed: { env: "SEED" } }))?.key, "trusted")
    assert.strictEqual(contradiction(decode({ required: false }))?.key, "seed")
    assert.isUndefined(contradiction(decode({ trusted: [key.getPublicKey()] })))
    assert.isUndefined(contradiction(decode({ seed: { env: "SEED" }, required: false })))
  })
})
