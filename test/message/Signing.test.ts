/** Who has no key cannot speak for one who has; what was said once does not count twice. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Result } from "effect"
import { layerWebCrypto } from "effect/crypto/SecureRandom"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { createAccount, createOperator, createServer, createUser, fromPublic, fromSeed } from "nkeys.js"
import * as NKey from "../../src/message/NKey.ts"
import * as Replays from "../../src/message/Replays.ts"
import * as Signing from "../../src/message/Signing.ts"

const seedOf = (pair: { getSeed(): Uint8Array }) => new TextDecoder().decode(pair.getSeed())
const bytes = (text: string) => new TextEncoder().encode(text)
/** The same with another letter at this place. */
const otherAt = (at: number, text: string) => `${text.slice(0, at)}${text[at] === "A" ? "B" : "A"}${text.slice(at + 1)}`
const body = bytes('{"version":1}')

const two = Effect.gen(function* () {
  const pair = createUser()
  const signer = yield* Signing.signer(Redacted.make(seedOf(pair)))
  const verifier = yield* Signing.verifier({ trusted: [pair.getPublicKey()], window: "5 minutes" })
  return { pair, signer, verifier }
}).pipe(Effect.provide(layerWebCrypto))

describe("a signature", () => {
  it.effect("counts for the bytes and the subject that it was made for, and tells by whom", () =>
    Effect.gen(function* () {
      const { pair, signer, verifier } = yield* two
      const header = yield* signer.sign("agents.a.commands", body)
      assert.strictEqual(yield* verifier.verify("agents.a.commands", body, header), pair.getPublicKey())
    })
  )

  it.effect("does not count for other bytes, another subject, time, nonce or key", () =>
    Effect.gen(function* () {
      const { pair, signer } = yield* two
      const other = createUser()
      const verifier = yield* Signing.verifier({ trusted: [pair.getPublicKey(), other.getPublicKey()] }).pipe(
        Effect.provide(layerWebCrypto)
      )
      const header = yield* signer.sign("agents.a.commands", body)
      const why = (subject: string, data: Uint8Array, header: string) =>
        Effect.map(Effect.flip(verifier.verify(subject, data, header)), (fault) =>
          fault._tag === "SignatureInvalid" ? fault.why : fault._tag
        )
      assert.strictEqual(yield* why("agents.b.commands", body, header), "mismatch")
      assert.strictEqual(yield* why("agents.a.commands", bytes('{"version": 1}'), header), "mismatch")
      assert.strictEqual(yield* why("agents.a.commands", body, header.replace(/at=\d+/, "at=1")), "mismatch")
      assert.strictEqual(
        yield* why(
          "agents.a.commands",
          body,
          header.replace(/(?<=nonce=)./, (digit) => (digit === "0" ? "1" : "0"))
        ),
        "mismatch"
      )
      assert.strictEqual(
        yield* why("agents.a.commands", body, header.replace(pair.getPublicKey(), other.getPublicKey())),
        "mismatch"
      )
      // None of the attempts has used up the true one.
      yield* verifier.verify("agents.a.commands", body, header)
    })
  )

  it.effect("is required to be one: no text whatever passes, or throws", () =>
    Effect.gen(function* () {
      const { signer, verifier } = yield* two
      assert.strictEqual((yield* Effect.flip(verifier.verify("s", body, undefined)))._tag, "SignatureMissing")
      const header = yield* signer.sign("s", body)
      const changed = fc.tuple(fc.nat(header.length - 1), fc.string({ unit: "binary", maxLength: 3 }))
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            fc.oneof(
              fc.string(),
              fc.constant("x".repeat(10_000)),
              changed.map(([at, by]) => header.slice(0, at) + by + header.slice(at + 1))
            ),
            async (text) => {
              if (text === header) return
              const exit = await Effect.runPromise(Effect.flip(verifier.verify("s", body, text)))
              assert.include(["SignatureInvalid"], exit._tag)
            }
          )
        )
      )
    })
  )

  it.effect("of a key that is not trusted does not count", () =>
    Effect.gen(function* () {
      const { verifier } = yield* two
      const stranger = yield* two
      const fault = yield* Effect.flip(verifier.verify("s", body, yield* stranger.signer.sign("s", body)))
      assert.deepInclude(fault, { _tag: "SignatureInvalid", why: "untrusted" })
    })
  )

  it.effect("counts within the time window, either way, and once", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 hour")
      const { signer, verifier } = yield* two
      const header = yield* signer.sign("s", body)
      const late = yield* signer.sign("s", body)
      yield* TestClock.adjust("5 minutes")
      yield* verifier.verify("s", body, header)
      assert.strictEqual((yield* Effect.flip(verifier.verify("s", body, header)))._tag, "MessageReplayed")
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(yield* Effect.flip(verifier.verify("s", body, late)), { why: "stale" })
      assert.deepInclude(yield* Effect.flip(verifier.verify("s", body, header)), { why: "stale" })
      // A clock that is ahead of ours: it was signed at a time that has not come yet.
      const ahead = yield* signer.sign("s", body)
      const at = Number(/at=(\d+)/.exec(ahead)?.[1])
      assert.deepInclude(yield* Effect.flip(verifier.verify("s", body, ahead, at - 300_001)), { why: "stale" })
      yield* verifier.verify("s", body, ahead, at - 300_000)
    })
  )

  it.effect("is what the library of NATS makes and takes", () =>
    Effect.gen(function* () {
      const { pair, signer } = yield* two
      const header = yield* signer.sign("s", body)
      const [, key = "", at, nonce, signature = ""] = /^key=(.*);at=(.*);nonce=(.*);signature=(.*)$/.exec(header) ?? []
      const text = bytes(`mister-smith message 1\ns\n${key}\n${at}\n${nonce}\n{"version":1}`)
      assert.isTrue(fromPublic(key).verify(text, new Uint8Array(Buffer.from(signature, "base64url"))))
      assert.strictEqual(Buffer.from(pair.sign(text)).toString("base64url"), signature)
    })
  )
})

describe("an NKey", () => {
  it("is read as the library of NATS writes it", () => {
    for (const pair of [createUser(), createAccount(), createOperator()]) {
      const seed = Result.getOrThrow(NKey.seed(seedOf(pair)))
      assert.strictEqual(seed.public, pair.getPublicKey())
      assert.strictEqual(fromSeed(bytes(seedOf(pair))).getPublicKey(), seed.public)
      assert.lengthOf(Result.getOrThrow(NKey.publicKey(pair.getPublicKey())), 32)
    }
  })

  it("that is none is refused, without a word of what it was", () => {
    const seed = seedOf(createUser())
    const wrong = [
      seed.slice(0, -1),
      `${seed}A`,
      otherAt(20, seed),
      seed.toLowerCase(),
      createUser().getPublicKey(),
      seedOf(createServer()),
      "",
      "secret"
    ]
    for (const text of wrong) {
      const result = NKey.seed(text)
      assert.isTrue(Result.isFailure(result), text)
      if (Result.isFailure(result) && text !== "")
        assert.notInclude(
          JSON.stringify({ ...result.failure, m: result.failure.message, s: String(result.failure.cause) }),
          text
        )
    }
    assert.isTrue(Result.isFailure(NKey.publicKey(seed)))
    assert.isTrue(Result.isFailure(NKey.publicKey(otherAt(20, createUser().getPublicKey()))))
  })
})

describe("the memory of what was signed", () => {
  const at = (nonce: string, at: number, key = "K") => ({ key, nonce, at })

  it("forgets what is outside of the window", () => {
    const replays = Replays.make({ windowMillis: 100, capacity: 1000 })
    for (let now = 0; now < 5000; now++) assert.strictEqual(replays.see(at(`n${now}`, now), now), "new")
    assert.isAtMost(replays.size(), 102)
  })

  it("is bounded for each key, and forgets nothing that could count again", () => {
    const replays = Replays.make({ windowMillis: 1_000_000, capacity: 10 })
    for (let n = 0; n < 100; n++) assert.strictEqual(replays.see(at(`n${n}`, n), 100), "new")
    assert.strictEqual(replays.size(), 10)
    for (let n = 0; n < 100; n++) assert.notStrictEqual(replays.see(at(`n${n}`, n), 100), "new", `n${n}`)
    // A flood of one key is no harm to another.
    assert.strictEqual(replays.see(at("n1", 1, "L"), 100), "new")
  })

  it("never takes the same twice within the window, in whatever order it comes", () => {
    const step = fc.record({ key: fc.constantFrom("K", "L"), n: fc.nat(30), wait: fc.nat(20) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 8 }), (steps, capacity) => {
        const windowMillis = 100
        const replays = Replays.make({ windowMillis, capacity })
        const taken = new Set<string>()
        let now = 0
        for (const { key, n, wait } of steps) {
          now += wait
          const signedAt = n * 20
          if (Math.abs(now - signedAt) > windowMillis) continue
          if (replays.see(at(`n${n}`, signedAt, key), now) !== "new") continue
          assert.isFalse(taken.has(`${key}${n}`))
          taken.add(`${key}${n}`)
        }
        assert.isAtMost(replays.size(), 2 * capacity)
      })
    )
  })
})
