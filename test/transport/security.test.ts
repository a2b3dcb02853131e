/** Who a NATS server lets in, which servers a node believes, and what becomes of it when that changes. With real servers. */
import { readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schedule, Stream } from "effect"
import { nkeys } from "nats"
import { redact } from "../../src/domain/Redaction.ts"
import type { Transport } from "../../src/transport/Transport.ts"
import { type TransportSettings, warnings } from "../../src/transport/TransportSettings.ts"
import { natsServer, noNats } from "../utils/Nats.ts"
import { makeOperator } from "../utils/NatsJwt.ts"
import { connect, next, settingsOf, statusesOf } from "./homes.ts"

const tls = join(dirname(dirname(fileURLToPath(import.meta.url))), "fixtures", "tls")
const pem = (name: string) => ({ file: join(tls, `${name}.pem`) })
const QUICK = { connectTimeout: "500 millis", reconnect: { longest: "100 millis" } } as const

/** It is let in, by and by on both its links, and can be heard. */
const works = (node: Transport["Service"]) =>
  Effect.gen(function* () {
    yield* Effect.retry(node.ready, { schedule: Schedule.spaced("10 millis") })
    const stream = yield* node.subscribe("self")
    yield* Effect.forkScoped(Stream.runForEach(stream, (packet) => Effect.ignore(packet.respond(packet.data))))
    const { data } = yield* node.request("self", Uint8Array.of(1, 2, 3), { deadline: "10 seconds" })
    assert.deepStrictEqual([...data], [1, 2, 3])
  })

const refusal = (node: Transport["Service"]) => Effect.flip(node.ready)

describe.skipIf(noNats !== undefined)("a NATS transport", () => {
  describe("says who it is with", () => {
    const user = nkeys.createUser()
    const seed = new TextDecoder().decode(user.getSeed())
    const operator = makeOperator()
    const { credentials } = operator.user("node")
    const ways: ReadonlyArray<
      readonly [string, string, Partial<typeof TransportSettings.Encoded>, Partial<typeof TransportSettings.Encoded>]
    > = [
      [
        "user and password",
        'authorization { user: node, password: "a good one" }',
        { user: "node", password: "a good one" },
        { user: "node", password: "a bad one" }
      ],
      ["a token", 'authorization { token: "t0ken-abc" }', { token: "t0ken-abc" }, { token: "another" }],
      [
        "an NKey",
        `authorization { users: [{ nkey: ${user.getPublicKey()} }] }`,
        { nkey: seed },
        { nkey: new TextDecoder().decode(nkeys.createUser().getSeed()) }
      ],
      [
        "a credentials file",
        operator.config(),
        { credentials },
        { credentials: makeOperator().user("other").credentials }
      ]
    ]
    for (const [what, config, good, bad] of ways) {
      it.live(`${what}, as text, from a file and from the environment`, () =>
        Effect.gen(function* () {
          const server = yield* natsServer({ config })
          const base = { servers: [server.url], ...QUICK }
          yield* works(yield* connect({ ...base, ...good }))
          // The same, from a file.
          const [[name, value] = ["", ""]] = Object.entries(good).filter(([name]) => name !== "user")
          const file = join(server.dir, "secret")
          writeFileSync(file, `${String(value)}\n`)
          yield* works(yield* connect({ ...base, ...good, [name]: { file } }))
          yield* Effect.acquireRelease(
            Effect.sync(() => {
              process.env["TRANSPORT_TEST_SECRET"] = String(value)
            }),
            () =>
              Effect.sync(() => {
                delete process.env["TRANSPORT_TEST_SECRET"]
              })
          )
          yield* works(yield* connect({ ...base, ...good, [name]: { env: "TRANSPORT_TEST_SECRET" } }))
          // And with another, or none, it is not let in.
          for (const wrong of [bad, {}]) {
            const fault = yield* refusal(yield* connect({ ...base, ...wrong }))
            assert.strictEqual(fault._tag, "AuthenticationRefused")
            assert.strictEqual(fault.recovery, "reload")
            for (const secret of Object.values(wrong)) assert.notInclude(JSON.stringify(fault), String(secret))
          }
          // What was used is hidden from now on, wherever it might come up.
          assert.notInclude(redact(`it was ${String(value)}`), String(value))
        })
      )
    }
  })

  it.live("is let in with another password as soon as its file holds it, without a restart", () =>
    Effect.gen(function* () {
      const config = (password: string) => `authorization { user: node, password: "${password}" }`
      const server = yield* natsServer({ config: config("first password") })
      const file = join(server.dir, "password")
      writeFileSync(file, "first password")
      const node = yield* connect({ servers: [server.url], user: "node", password: { file }, ...QUICK })
      yield* works(node)
      const statuses = yield* statusesOf(node)
      // The server throws out whoever came in with the old one.
      yield* server.reload(config("second password"))
      const refused = yield* next(statuses, "refused")
      assert.strictEqual(refused.fault._tag, "AuthenticationRefused")
      assert.strictEqual((yield* node.snapshot).control.refused?._tag, "AuthenticationRefused")
      writeFileSync(file, "second password")
      yield* next(statuses, "up")
      assert.isUndefined((yield* node.snapshot).control.refused)
      yield* works(node)
    })
  )

  it.live("builds its links anew with what its files hold, when told to", () =>
    Effect.gen(function* () {
      const users = (names: ReadonlyArray<string>) =>
        `authorization { users: [${names.map((name) => `{ user: node, password: "${name}" }`).join(", ")}] }`
      const server = yield* natsServer({ config: users(["first password"]) })
      const file = join(server.dir, "password")
      writeFileSync(file, "first password")
      const read: Array<string> = []
      const node = yield* connect(
        { servers: [server.url], user: "node", password: { file }, ...QUICK },
        {
          secrets: (secret) =>
            Effect.sync(() => {
              const text = Redacted.isRedacted(secret) ? "" : "file" in secret ? readFileSync(secret.file, "utf8") : ""
              read.push(text)
              return Redacted.make(text)
            })
        }
      )
      yield* node.ready
      const statuses = yield* statusesOf(node)
      yield* node.publish("before", new Uint8Array(10))
      yield* node.reload
      yield* next(statuses, "down")
      yield* next(statuses, "up")
      // Twice for this link, and once at least for the other.
      assert.isAtLeast(read.length, 3)
      assert.strictEqual((yield* node.snapshot).control.reconnects, 1)
      yield* works(node)
    })
  )

  it.live("uses what a secret held before while it cannot be read, and says so", () =>
    Effect.gen(function* () {
      const server = yield* natsServer({ config: 'authorization { token: "t0ken-abc" }' })
      let there = true
      const node = yield* connect(
        { servers: [server.url], token: { file: "anywhere" }, ...QUICK },
        {
          secrets: () => (there ? Effect.succeed(Redacted.make("t0ken-abc")) : Effect.fail("there is no such file"))
        }
      )
      yield* works(node)
      const statuses = yield* statusesOf(node)
      there = false
      yield* server.kill
      yield* server.start
      const { fault } = yield* next(statuses, "refused")
      assert.strictEqual(fault._tag, "SecretUnreadable")
      assert.include(fault.message, "transport.token cannot be read: there is no such file")
      yield* next(statuses, "up")
    })
  )

  it.live("outlives a secret that is nonsense: it is refused, typed, and lives on", () =>
    Effect.gen(function* () {
      const operator = makeOperator()
      const server = yield* natsServer({ config: operator.config() })
      const file = join(server.dir, "creds")
      writeFileSync(file, "no credentials at all")
      const node = yield* connect({ servers: [server.url], credentials: { file }, ...QUICK })
      assert.strictEqual((yield* refusal(node))._tag, "AuthenticationRefused")
      const statuses = yield* statusesOf(node)
      writeFileSync(file, operator.user("node").credentials)
      yield* next(statuses, "up")
      yield* works(node)
    })
  )

  it.live("is refused with expired credentials, and let in with new ones", () =>
    Effect.gen(function* () {
      const operator = makeOperator()
      const server = yield* natsServer({ config: operator.config() })
      const file = join(server.dir, "creds")
      writeFileSync(file, operator.user("old", { expires: Math.floor(Date.now() / 1000) - 60 }).credentials)
      const node = yield* connect({ servers: [server.url], credentials: { file }, ...QUICK })
      assert.strictEqual((yield* refusal(node))._tag, "AuthenticationRefused")
      const statuses = yield* statusesOf(node)
      writeFileSync(file, operator.user("new").credentials)
      yield* next(statuses, "up")
      yield* works(node)
    })
  )

  it.live("is thrown out when its credentials expire, knows why, and comes back with new ones", () =>
    Effect.gen(function* () {
      const operator = makeOperator()
      const server = yield* natsServer({ config: operator.config() })
      const file = join(server.dir, "creds")
      writeFileSync(file, operator.user("short", { expires: Math.floor(Date.now() / 1000) + 3 }).credentials)
      const node = yield* connect({ servers: [server.url], credentials: { file }, ...QUICK })
      const statuses = yield* statusesOf(node)
      yield* node.ready
      const { fault } = yield* next(statuses, "refused")
      assert.strictEqual(fault._tag === "AuthenticationRefused" && fault.why, "expired")
      yield* next(statuses, "down")
      writeFileSync(file, operator.user("new").credentials)
      yield* next(statuses, "up")
      yield* works(node)
    })
  )

  it.live("is thrown out when it is revoked, and let in under another name", () =>
    Effect.gen(function* () {
      const operator = makeOperator()
      const server = yield* natsServer({ config: operator.config() })
      const file = join(server.dir, "creds")
      const first = operator.user("first")
      writeFileSync(file, first.credentials)
      const node = yield* connect({ servers: [server.url], credentials: { file }, ...QUICK })
      yield* works(node)
      const statuses = yield* statusesOf(node)
      operator.revoke(first.key)
      yield* server.reload(operator.config())
      const { fault } = yield* next(statuses, "refused")
      assert.strictEqual(fault._tag, "AuthenticationRefused")
      writeFileSync(file, operator.user("second").credentials)
      yield* next(statuses, "up")
      yield* works(node)
    })
  )

  it.live("may not do what its user may not, is told, and goes on with the rest", () =>
    Effect.gen(function* () {
      const config = (more: string) => `authorization { users: [
        { user: node, password: secret-word, permissions: {
          publish: ["open.>", "_INBOX.>"${more}], subscribe: ["open.>", "_INBOX.>"${more}] } },
        { user: all, password: secret-word }
      ] }`
      const server = yield* natsServer({ config: config("") })
      const node = yield* connect({ servers: [server.url], user: "node", password: "secret-word", ...QUICK })
      const other = yield* connect({ servers: [server.url], user: "all", password: "secret-word", ...QUICK })
      yield* Effect.all([node.ready, other.ready])
      const statuses = yield* statusesOf(node)

      yield* node.publish("closed.a", Uint8Array.of(1))
      const denied = yield* next(statuses, "denied")
      assert.deepStrictEqual([denied.fault.operation, denied.fault.subject], ["publish", "closed.a"])

      const deaf = yield* Effect.flip(Effect.scoped(node.subscribe("closed.>")))
      assert.strictEqual(deaf._tag, "PermissionDenied")
      const inGroup = yield* Effect.flip(Effect.scoped(node.subscribe("closed.>", { queue: "team" })))
      assert.strictEqual(inGroup._tag, "PermissionDenied")

      // A request to where it may not publish fails at once, not at its deadline.
      const asked = yield* Effect.flip(node.request("closed.b", Uint8Array.of(1), { deadline: "10 minutes" }))
      assert.strictEqual(asked._tag, "PermissionDenied")
      assert.isAtLeast((yield* node.snapshot).control.denied, 4)

      const stream = yield* node.subscribe("open.a")
      yield* Effect.forkScoped(Stream.runForEach(stream, (packet) => Effect.ignore(packet.respond(packet.data))))
      yield* other.request("open.a", Uint8Array.of(1), { deadline: "10 seconds" })

      // What it is allowed later works from then on, and what is taken away ends, typed.
      yield* server.reload(config(', "closed.>"'))
      const late = yield* Effect.retry(
        Effect.suspend(() => Effect.scoped(node.subscribe("closed.>"))),
        {
          while: ({ _tag }) => _tag === "PermissionDenied"
        }
      )
      assert.isDefined(late)
      const ending = yield* node.subscribe("closed.c")
      yield* server.reload(config(""))
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(ending)))._tag, "PermissionDenied")
    })
  )

  it.live("is told where its inbox is not allowed, and may have another", () =>
    Effect.gen(function* () {
      const server = yield* natsServer({
        config: `authorization { users: [{ user: node, password: secret-word, permissions: {
          publish: ">", subscribe: ["open.>", "_INBOX_node.>"] } }] }`
      })
      const who = { servers: [server.url], user: "node", password: "secret-word", ...QUICK }
      const node = yield* connect(who)
      yield* node.ready
      const stream = yield* node.subscribe("open.a")
      yield* Effect.forkScoped(Stream.runForEach(stream, (packet) => Effect.ignore(packet.respond(packet.data))))
      const fault = yield* Effect.flip(node.request("open.a", Uint8Array.of(1), { deadline: "10 minutes" }))
      assert.strictEqual(fault._tag, "PermissionDenied")
      const other = yield* connect({ ...who, inboxPrefix: "_INBOX_node" })
      yield* other.request("open.a", Uint8Array.of(1), { deadline: "10 seconds" })
    })
  )

  describe("over TLS", () => {
    const server = (certificate: string, more = "") =>
      natsServer({
        config: `tls { cert_file: "${pem(certificate).file}", key_file: "${pem(`${certificate}-key`).file}", ${more} timeout: 5 }`
      })
    const verify = `ca_file: "${pem("ca").file}", verify: true,`

    it.live("believes a server that its CA has signed, by address and by name", () =>
      Effect.gen(function* () {
        const { port } = yield* server("server")
        yield* works(yield* connect({ servers: [`tls://127.0.0.1:${port}`], tls: { ca: pem("ca") }, ...QUICK }))
        yield* works(yield* connect({ servers: [`localhost:${port}`], tls: { ca: pem("ca") }, ...QUICK }))
      })
    )

    it.live("believes no other: not one of another CA, not one of another name, not one without TLS", () =>
      Effect.gen(function* () {
        const { port } = yield* server("server")
        const elsewhere = yield* server("elsewhere")
        const plain = yield* natsServer()
        const wrong: ReadonlyArray<Partial<typeof TransportSettings.Encoded>> = [
          { servers: [`tls://127.0.0.1:${port}`], tls: { ca: pem("other-ca") } },
          // The system's CAs have not signed it either.
          { servers: [`tls://127.0.0.1:${port}`] },
          { servers: [`nats://127.0.0.1:${elsewhere.port}`], tls: { ca: pem("ca") } },
          { servers: [`nats://localhost:${elsewhere.port}`], tls: { ca: pem("ca") } },
          { servers: [`tls://127.0.0.1:${plain.port}`] },
          { servers: [plain.url], tls: {} }
        ]
        for (const settings of wrong) {
          const fault = yield* refusal(yield* connect({ ...settings, ...QUICK }))
          assert.strictEqual(fault._tag, "TlsFailed", JSON.stringify(settings))
        }
      })
    )

    it.live("shows its own certificate where a server asks for one", () =>
      Effect.gen(function* () {
        const { port } = yield* server("server", verify)
        const base = { servers: [`tls://127.0.0.1:${port}`], ...QUICK }
        yield* works(yield* connect({ ...base, tls: { ca: pem("ca"), cert: pem("client"), key: pem("client-key") } }))
        const without = yield* connect({ ...base, tls: { ca: pem("ca") } })
        const fault = yield* refusal(without)
        assert.strictEqual(fault._tag, "TlsFailed")
        assert.include(fault.message, "wants a certificate of this node")
        assert.notStrictEqual((yield* without.snapshot).control.state, "up")
      })
    )

    it.live("takes another CA as soon as its file holds it, without a restart", () =>
      Effect.gen(function* () {
        const { dir, port } = yield* server("server")
        const file = join(dir, "ca.pem")
        writeFileSync(file, readFileSync(pem("other-ca").file))
        const node = yield* connect({ servers: [`tls://127.0.0.1:${port}`], tls: { ca: { file } }, ...QUICK })
        assert.strictEqual((yield* refusal(node))._tag, "TlsFailed")
        writeFileSync(file, readFileSync(pem("ca").file))
        const statuses = yield* statusesOf(node)
        yield* next(statuses, "up")
        yield* works(node)
      })
    )
  })
})

describe("a transport without TLS", () => {
  it("is warned of where it is not on loopback", () => {
    const warned = (...servers: ReadonlyArray<string>) => warnings(settingsOf({ servers: [...servers] }))
    assert.deepStrictEqual(warned("nats://127.0.0.1:4222", "localhost", "nats://[::1]:4222", "127.9.9.9"), [])
    for (const server of ["nats://example.org:4222", "10.0.0.1", "[fe80::1]:4222", "127.example.org"]) {
      assert.include(warned(server).join(), server)
    }
    assert.deepStrictEqual(warned("tls://example.org"), [])
    assert.deepStrictEqual(warnings(settingsOf({ servers: ["example.org"], tls: {} })), [])
    assert.deepStrictEqual(warnings(settingsOf({ kind: "memory", servers: ["example.org"] })), [])
  })
})
