/** A session against a fake CLI (test/fixtures/fake-claude.sh): faults that the real one cannot be made to show. */
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Redacted, Scope } from "effect"
import * as SecureRandom from "effect/crypto/SecureRandom"
import type { Unreadable } from "../../src/claude/ClaudeEvent.ts"
import * as ClaudeSession from "../../src/claude/ClaudeSession.ts"
import { ProcessTree, type Receipt } from "../../src/process/ProcessTree.ts"

const fakeClaude = fileURLToPath(new URL("../fixtures/fake-claude.sh", import.meta.url))
const live = ProcessTree.layerBare.pipe(Layer.provide(SecureRandom.layerWebCrypto))

interface End {
  receipt?: Receipt
  unreadable?: Unreadable
}

const launch = (FAKE: string, end: End = {}, startTimeout = Duration.seconds(20)) =>
  ClaudeSession.launch({
    command: fakeClaude,
    args: [],
    cwd: "/tmp",
    env: { PATH: process.env["PATH"] ?? "", FAKE, TOKEN: Redacted.make("battery-staple") },
    systemPrompt: undefined,
    appendSystemPrompt: undefined,
    jsonSchema: undefined,
    maxLine: 200_000,
    startTimeout,
    onEvent: () => Effect.void,
    onEnd: (receipt, unreadable) => Effect.sync(() => void Object.assign(end, { receipt, unreadable }))
  })

describe("a session", () => {
  it.live("is not ready while the CLI does not answer, and says that it is stalled", () =>
    Effect.gen(function* () {
      const end: End = {}
      const error = yield* Effect.flip(Effect.scoped(launch("deaf", end, Duration.millis(300))))
      assert.strictEqual(error._tag, "Stalled")
      assert.isDefined(end.receipt)
    }).pipe(Effect.provide(live))
  )

  it.live("is stalled too when the CLI answers the first question and not the second", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(launch("nameless", {}, Duration.millis(300))))
      assert.strictEqual(error._tag, "Stalled")
    }).pipe(Effect.provide(live))
  )

  it.live("that ends before it is ready is a crash, also with exit code 0", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(launch("exit-0")))
      assert.strictEqual(error._tag, "SessionCrashed")
    }).pipe(Effect.provide(live))
  )

  it.live("whose CLI refuses its flags is misconfigured, and tells the CLI's own words", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(launch("refuse")))
      assert.strictEqual(error._tag, "SessionMisconfigured")
      assert.include(error.message, "unknown option")
    }).pipe(Effect.provide(live))
  )

  it.live("passes over garbage, counts it and keeps some of it", () =>
    Effect.gen(function* () {
      const end: End = {}
      const turn = yield* Effect.scoped(Effect.flatMap(launch("garbage", end), (session) => session.turn("x")))
      assert.strictEqual(turn.text, "fine")
      assert.isAbove(end.unreadable?.broken ?? 0, 3)
      assert.deepStrictEqual(end.unreadable?.kinds, { newer_kind: 2 })
      assert.isAtMost(end.unreadable?.kept.length ?? 0, 40)
    }).pipe(Effect.provide(live))
  )

  it.live("passes over a line that is too long, and reads the next", () =>
    Effect.gen(function* () {
      const end: End = {}
      const turn = yield* Effect.scoped(Effect.flatMap(launch("overlong", end), (session) => session.turn("x")))
      assert.strictEqual(turn.text, "fine")
      assert.strictEqual(end.unreadable?.overlong, 1)
    }).pipe(Effect.provide(live))
  )

  it.live("ends a turn whose result cannot be read as a failure, not as a wait", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(Effect.flatMap(launch("misfit"), (session) => session.turn("x"))))
      assert.strictEqual(error._tag, "TurnFailed")
    }).pipe(Effect.provide(live))
  )

  it.live("ends a turn whose result is too long to be read as a failure, not as a wait", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(Effect.flatMap(launch("lengthy"), (session) => session.turn("x"))))
      assert.strictEqual(error._tag, "TurnFailed")
    }).pipe(Effect.provide(live))
  )

  it.live("takes one result for one message: a second one is nobody's", () =>
    Effect.gen(function* () {
      const session = yield* launch("twice")
      const [first, second] = [yield* session.turn("x"), yield* session.turn("y")]
      assert.deepStrictEqual([first.text, second.text], ["fine", "fine"])
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("does not take the result of a turn that the CLI has begun by itself for its own", () =>
    Effect.gen(function* () {
      const session = yield* launch("notifies")
      assert.strictEqual((yield* session.turn("x", { uuid: "u1" })).text, "fine")
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("takes such a result where the CLI has folded the message into that turn", () =>
    Effect.gen(function* () {
      const session = yield* launch("folds")
      assert.strictEqual((yield* session.turn("x", { uuid: "u1" })).text, "fine")
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("refuses what the CLI asks and nobody can answer, so that it does not wait", () =>
    Effect.gen(function* () {
      const session = yield* launch("asks")
      assert.strictEqual((yield* session.turn("x")).text, "not supported")
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("does not repeat a secret that its CLI prints when something goes wrong", () =>
    Effect.gen(function* () {
      const end: End = {}
      const told = yield* Effect.scoped(
        Effect.gen(function* () {
          const session = yield* launch("leaks", end)
          return [yield* Effect.flip(session.turn("x")), yield* Effect.flip(session.ended)]
        })
      )
      assert.deepStrictEqual(
        told.map(({ message }) => message),
        ["the request was rejected (400): no [secret]", "the Claude CLI ended with exit code 3: died of [secret]"]
      )
      assert.notInclude(JSON.stringify([told, end.unreadable]), "battery-staple")
      assert.strictEqual(end.unreadable?.broken, 1)
    }).pipe(Effect.provide(live))
  )

  it.live("fails its turn and ends when the CLI dies", () =>
    Effect.gen(function* () {
      const session = yield* launch("dies")
      const error = yield* Effect.flip(session.turn("x"))
      assert.strictEqual(error._tag, "SessionCrashed")
      assert.strictEqual((yield* Effect.flip(session.ended))._tag, "SessionCrashed")
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("is stalled when its CLI does not read a long prompt and the turn is interrupted", () =>
    Effect.gen(function* () {
      const session = yield* launch("unread")
      const turn = yield* Effect.timeoutOption(session.turn("x".repeat(1024 * 1024)), "200 millis")
      assert.strictEqual(turn._tag, "None")
      assert.strictEqual((yield* Effect.flip(session.ended))._tag, "Stalled")
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("is stalled when its CLI does not say that it has forgotten the conversation", () =>
    Effect.gen(function* () {
      const session = yield* launch("unclear", {}, Duration.seconds(2))
      assert.strictEqual((yield* session.turn("x")).text, "fine")
      assert.strictEqual((yield* Effect.flip(session.clear))._tag, "Stalled")
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("is stalled when its CLI has closed its output and does not exit", () =>
    Effect.gen(function* () {
      const session = yield* launch("closes")
      assert.strictEqual((yield* Effect.flip(session.turn("x")))._tag, "Stalled")
      assert.strictEqual((yield* Effect.flip(session.ended))._tag, "Stalled")
    }).pipe(Effect.scoped, Effect.provide(live))
  )

  it.live("does not take a closed pipe for an end, and an interrupted turn that does not end for a stall", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const end: End = {}
      const session = yield* Scope.provide(launch("closes", end), scope)
      const turn = yield* Effect.timeoutOption(session.turn("x"), "200 millis")
      assert.strictEqual(turn._tag, "None")
      assert.strictEqual((yield* Effect.flip(session.ended))._tag, "Stalled")
      yield* Scope.close(scope, Exit.void)
      assert.isDefined(end.receipt)
    }).pipe(Effect.provide(live))
  )
})
