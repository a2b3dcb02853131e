/**
 * Ed25519 keys as NATS writes them: base32 with the kind in front and a checksum at the end. The text is checked by
 * nkeys.js, the library of NATS; only its bytes are taken from here, since it does not give them. Pure.
 */
import { Result } from "effect"
import { fromPublic, fromSeed } from "nkeys.js"
import { KeyInvalid } from "./MessageError.ts"

/** A public key of a user, an account or an operator. */
export const PUBLIC_KEY = /^[UAO][A-Z2-7]{55}$/
/** The secret behind one. */
const SEED = /^S[UAO][A-Z2-7]{56}$/

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
/** Bytes of the kind in front of the key. */
const KIND = { seed: 2, "public key": 1 } as const
const KEY_BYTES = 32

const base32 = (text: string): Uint8Array => {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8))
  let bits = 0
  let held = 0
  let at = 0
  for (const letter of text) {
    held = ((held << 5) | ALPHABET.indexOf(letter)) & 0xfff
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes[at++] = (held >> bits) & 0xff
  }
  return bytes
}

const read = <A>(
  what: keyof typeof KIND,
  shape: RegExp,
  text: string,
  check: () => A
): Result.Result<A, KeyInvalid> => {
  if (!shape.test(text)) return Result.fail(new KeyInvalid({ what, problem: "it has another length, kind or letters" }))
  // What the library says of it may quote it, which nobody is to see.
  return Result.try({ try: check, catch: () => new KeyInvalid({ what, problem: "its checksum is wrong" }) })
}

const keyOf = (what: keyof typeof KIND, text: string) => base32(text).slice(KIND[what], KIND[what] + KEY_BYTES)

/** The 32 bytes of a public key. */
export const publicKey = (text: string): Result.Result<Uint8Array, KeyInvalid> =>
  read("public key", PUBLIC_KEY, text, () => {
    fromPublic(text)
    return keyOf("public key", text)
  })

/** The 32 bytes of a seed, and the public key that belongs to it. */
export const seed = (
  text: string
): Result.Result<{ readonly bytes: Uint8Array; readonly public: string }, KeyInvalid> =>
  read("seed", SEED, text, () => ({
    bytes: keyOf("seed", text),
    public: fromSeed(new TextEncoder().encode(text)).getPublicKey()
  }))
