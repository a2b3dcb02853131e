import { PassThrough } from "node:stream"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import { bytes } from "../../src/process/Output.ts"

const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk)
const all = (pipe: PassThrough) => Effect.map(Stream.runCollect(bytes(pipe)), (chunks) => chunks.map(text).join(""))

describe("Output", () => {
  it.live("hands over what was there before, what comes while it waits, and the end", () =>
    Effect.gen(function* () {
      const pipe = new PassThrough()
      pipe.write("one ")
      const reader = yield* Effect.forkChild(all(pipe))
      yield* Effect.promise(() => new Promise(setImmediate))
      pipe.write("two ")
      yield* Effect.promise(() => new Promise(setImmediate))
      pipe.end("three")
      assert.strictEqual(yield* Fiber.join(reader), "one two three")
    })
  )

  it.live("ends where the pipe had ended before anyone read it", () =>
    Effect.gen(function* () {
      const pipe = new PassThrough()
      pipe.end()
      pipe.read()
      yield* Effect.promise(() => new Promise(setImmediate))
      assert.strictEqual(yield* all(pipe), "")
    })
  )

  it.live("ends with what it has where the pipe breaks, be it read or not", () =>
    Effect.gen(function* () {
      const read = new PassThrough()
      const reader = yield* Effect.forkChild(all(read))
      yield* Effect.promise(() => new Promise(setImmediate))
      read.write("half")
      yield* Effect.promise(() => new Promise(setImmediate))
      read.destroy(new Error("broken"))
      assert.strictEqual(yield* Fiber.join(reader), "half")
      const unread = new PassThrough()
      const output = bytes(unread)
      unread.destroy(new Error("broken"))
      yield* Effect.promise(() => new Promise(setImmediate))
      assert.deepStrictEqual(yield* Stream.runCollect(output), [])
    })
  )

  it.live("reads no more than was asked for, and closes the pipe when its reader stops", () =>
    Effect.gen(function* () {
      const pipe = new PassThrough()
      pipe.write("one")
      const first = yield* Stream.runHead(bytes(pipe))
      assert.deepStrictEqual(Option.map(first, text), Option.some("one"))
      assert.isTrue(pipe.destroyed)
    })
  )

  it.live("leaves nobody listening when the fiber that waits is interrupted", () =>
    Effect.gen(function* () {
      const pipe = new PassThrough()
      const before = pipe.listenerCount("readable")
      const reader = yield* Effect.forkChild(all(pipe))
      yield* Effect.promise(() => new Promise(setImmediate))
      assert.isAbove(pipe.listenerCount("readable"), before)
      yield* Fiber.interrupt(reader)
      assert.strictEqual(pipe.listenerCount("readable"), before)
    })
  )
})
