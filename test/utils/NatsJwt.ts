/** An operator with an account and users, as `nsc` makes them: for servers that know their users by JWT. */
import { createHash } from "node:crypto"
import { nkeys } from "nats"

type Keys = ReturnType<typeof nkeys.createUser>

const base64 = (data: Uint8Array | string) => Buffer.from(data).toString("base64url")

const sign = (by: Keys, claims: Record<string, unknown>): string => {
  const bare = { iat: Math.floor(Date.now() / 1000), iss: by.getPublicKey(), ...claims }
  const jti = createHash("sha256").update(JSON.stringify(bare)).digest("base64url")
  const text = `${base64(JSON.stringify({ typ: "JWT", alg: "ed25519-nkey" }))}.${base64(JSON.stringify({ ...bare, jti }))}`
  return `${text}.${base64(by.sign(new TextEncoder().encode(text)))}`
}

const LIMITS = { subs: -1, data: -1, payload: -1 }

export const makeOperator = () => {
  const operator = nkeys.createOperator()
  const account = nkeys.createAccount()
  /** Users that are no longer let in. */
  const revoked: Record<string, number> = {}
  const accountJwt = () =>
    sign(operator, {
      sub: account.getPublicKey(),
      name: "A",
      nats: {
        type: "account",
        version: 2,
        limits: { ...LIMITS, imports: -1, exports: -1, conn: -1, leaf: -1, wildcards: true },
        revocations: revoked
      }
    })
  const operatorJwt = sign(operator, {
    sub: operator.getPublicKey(),
    name: "O",
    nats: { type: "operator", version: 2 }
  })
  return {
    /** Lines of a server's config. */
    config: () =>
      `operator: ${operatorJwt}\nresolver: MEMORY\nresolver_preload: { ${account.getPublicKey()}: "${accountJwt()}" }`,
    /** The text of a credentials file. `expires` in seconds since 1970. */
    user: (name: string, options: { readonly expires?: number } = {}) => {
      const user = nkeys.createUser()
      const jwt = sign(account, {
        sub: user.getPublicKey(),
        name,
        ...(options.expires === undefined ? {} : { exp: options.expires }),
        nats: { type: "user", version: 2, ...LIMITS, pub: {}, sub: {} }
      })
      const seed = new TextDecoder().decode(user.getSeed())
      return {
        key: user.getPublicKey(),
        seed,
        credentials: [
          "-----BEGIN NATS USER JWT-----",
          jwt,
          "------END NATS USER JWT------",
          "",
          "-----BEGIN USER NKEY SEED-----",
          seed,
          "------END USER NKEY SEED------",
          ""
        ].join("\n")
      }
    },
    revoke: (key: string) => {
      revoked[key] = Math.floor(Date.now() / 1000) + 1
    }
  }
}
