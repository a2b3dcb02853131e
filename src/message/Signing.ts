/**
 * Proves who sent a message: an Ed25519 signature over the very bytes, with the subject, a nonce and the time. It is in a
 * header beside the message, so that nothing is ever encoded again before it is checked, and one who does not ask for it
 * reads the message as if it were not there.
 *
 * Keys are NKeys, as the servers use them. They are checked by effect's own Ed25519, the runtime's native one: the library of
 * NATS does the same in plain JavaScript, more than fifty times slower, so that a few hundred forged messages a second
 * would be all that a node does.
 *
 * Promises:
 * - a message counts on the subject that it was signed for only, within the time window only, and once only (Replays.ts)
 * - what is asked first costs least: shape, trusted key and time before the signature, and only what is signed by a trusted
 *   key is remembered
 * - the secret is Redacted and never in an error
 */
import { Clock, Context, Duration, Effect, Layer, Redacted } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import * as Ed25519 from "effect/crypto/Signature"
import {
  type KeyInvalid,
  MessageReplayed,
  SignatureInvalid,
  SignatureMissing,
  type VerifyError
} from "./MessageError.ts"
import * as NKey from "./NKey.ts"
import * as Replays from "./Replays.ts"

/** The header that it is in. */
export const HEADER = "Mister-Smith-Signature"
/** What a signed text begins with, so that no signature made for something else counts here. */
const DOMAIN = "mister-smith message 1"
/** How far the time of a signature may be from ours, either way, unless it is set otherwise. */
export const WINDOW = Duration.minutes(5)
/** The longest header that is looked at, in characters. */
export const MAX_HEADER = 500
/** Bytes. */
const NONCE = 16
/**
 * What an answer is signed for, in the place of a subject: the inbox that it goes to may have another name on its way. It
 * names the question, so that it counts as the answer to that one only.
 */
export const ANSWER = "answer"

const SHAPE = /^key=([A-Z2-7]{56});at=(0|[1-9]\d{0,14});nonce=([0-9a-f]{32});signature=([A-Za-z0-9_-]{86})$/
const text = new TextEncoder()

/** Key, time and nonce are in it, so that none of them can be changed. */
const signed = (subject: string, key: string, at: number, nonce: string, data: Uint8Array): Uint8Array => {
  const before = text.encode(`${DOMAIN}\n${subject}\n${key}\n${at}\n${nonce}\n`)
  const whole = new Uint8Array(before.length + data.length)
  whole.set(before)
  whole.set(data, before.length)
  return whole
}

export interface Signer {
  /** The public key, by which others know who it was. */
  readonly key: string
  /** The header for these bytes on this subject. */
  sign(subject: string, data: Uint8Array): Effect.Effect<string>
}

/** Signs with the seed of an NKey. */
export const signer = Effect.fn("Signing.signer")(function* (
  secret: Redacted.Redacted
): Effect.fn.Return<Signer, KeyInvalid, SecureRandom> {
  const random = yield* SecureRandom
  const ed25519 = yield* native
  const seed = yield* Effect.fromResult(NKey.seed(Redacted.value(secret).trim()))
  // Its length is known: what fails now is the runtime.
  const key = yield* Effect.orDie(Ed25519.privateKey(Ed25519.ed25519, seed.bytes))
  return {
    key: seed.public,
    sign: Effect.fnUntraced(function* (subject, data) {
      const at = yield* Clock.currentTimeMillis
      const nonce = Buffer.from(yield* random.randomBytes(NONCE)).toString("hex")
      const signature = yield* Effect.orDie(ed25519.sign(key, signed(subject, seed.public, at, nonce, data)))
      return `key=${seed.public};at=${at};nonce=${nonce};signature=${Buffer.from(signature).toString("base64url")}`
    })
  }
})

export interface Verifier {
  /**
   * The public key that it was signed by. What has waited in a stream is judged by when the stream got it: say so with
   * `receivedAt`; the stream itself must see to it then that nothing is taken twice, for longer than the window.
   */
  verify(
    subject: string,
    data: Uint8Array,
    header: string | undefined,
    receivedAt?: number
  ): Effect.Effect<string, VerifyError>
}

export interface Trust {
  /** Public keys. Two of one sender are fine: that is how one is replaced by another. */
  readonly trusted: ReadonlyArray<string>
  /** Default WINDOW. */
  readonly window?: Duration.Input | undefined
  /** Messages remembered of each key. Default Replays.CAPACITY. */
  readonly capacity?: number | undefined
}

/** Believes these keys, and no others. */
export const verifier = Effect.fn("Signing.verifier")(function* (
  trust: Trust
): Effect.fn.Return<Verifier, KeyInvalid, SecureRandom> {
  const ed25519 = yield* native
  const keys = new Map<string, Ed25519.PublicKey>()
  for (const name of trust.trusted) {
    const bytes = yield* Effect.fromResult(NKey.publicKey(name))
    keys.set(name, yield* Effect.orDie(Ed25519.publicKey(Ed25519.ed25519, bytes)))
  }
  const windowMillis = Duration.toMillis(trust.window ?? WINDOW)
  const replays = Replays.make({ windowMillis, ...(trust.capacity === undefined ? {} : { capacity: trust.capacity }) })
  return {
    verify: Effect.fnUntraced(function* (subject, data, header, receivedAt) {
      if (header === undefined) return yield* new SignatureMissing()
      const [, name = "", time, nonce = "", signature = ""] =
        header.length > MAX_HEADER ? [] : (SHAPE.exec(header) ?? [])
      if (time === undefined) return yield* new SignatureInvalid({ why: "malformed" })
      const key = keys.get(name)
      if (key === undefined) return yield* new SignatureInvalid({ why: "untrusted", key: name })
      const at = Number(time)
      const now = receivedAt ?? (yield* Clock.currentTimeMillis)
      if (Math.abs(now - at) > windowMillis) return yield* new SignatureInvalid({ why: "stale", key: name })
      const bytes = new Uint8Array(Buffer.from(signature, "base64url"))
      // The last letter has bits to spare: of the ways to write it, one counts.
      if (Buffer.from(bytes).toString("base64url") !== signature)
        return yield* new SignatureInvalid({ why: "malformed" })
      // A key that is no point of the curve fails here: nothing can have been signed by it.
      const holds = yield* ed25519
        .verify(key, bytes, signed(subject, name, at, nonce, data))
        .pipe(Effect.catch(() => Effect.succeed(false)))
      if (!holds) return yield* new SignatureInvalid({ why: "mismatch", key: name })
      const seen = replays.see({ key: name, nonce, at }, now)
      if (seen === "replayed") return yield* new MessageReplayed({ key: name, nonce })
      if (seen === "stale") return yield* new SignatureInvalid({ why: "stale", key: name })
      return name
    })
  }
})

/** Ed25519 as the runtime has it. */
const native = Effect.gen(function* () {
  const random = yield* SecureRandom
  const context = yield* Layer.build(
    Ed25519.layerWebCrypto.pipe(Layer.provide(Layer.succeed(SecureRandom, random)))
  ).pipe(Effect.scoped)
  return Context.get(context, Ed25519.Signature)
})
