import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { type Conversation, Sessions } from "../../src/agent/Sessions.ts"
import * as SqliteStateStore from "../../src/state/SqliteStateStore.ts"
import { StateStore } from "../../src/state/StateStore.ts"
import { StateUnusable } from "../../src/state/StateStoreError.ts"
import { tempDir } from "../utils/Binary.ts"

const talk = (task: string, session?: string): Conversation => ({ task, prompt: `p-${task}`, session, cwd: "/w" })

/** Lives of one runtime after the other, on one file. */
const lives = Effect.gen(function* () {
  const dir = yield* Effect.acquireRelease(Effect.sync(tempDir), (dir) => Effect.sync(() => dir[Symbol.dispose]()))
  const home = Sessions.layer.pipe(Layer.provideMerge(SqliteStateStore.layer(join(dir.path, SqliteStateStore.FILE))))
  return <A, E>(work: (sessions: Sessions["Service"]) => Effect.Effect<A, E, StateStore>) =>
    Effect.provide(Effect.flatMap(Sessions, work), Layer.fresh(home))
})

describe("Sessions", () => {
  it.effect("recalls in the next life in which conversation each agent was, and nothing of what was settled", () =>
    Effect.gen(function* () {
      const life = yield* lives
      yield* life((sessions) =>
        Effect.gen(function* () {
          yield* sessions.remember("a", talk("one"))
          yield* sessions.remember("a", talk("one", "s1"))
          yield* sessions.remember("b", talk("two", "s2"))
          yield* sessions.remember("c", talk("three", "s3"))
          yield* sessions.forget("c", "three")
        })
      )
      yield* life((sessions) =>
        Effect.sync(() => {
          assert.deepEqual(sessions.recall("a"), talk("one", "s1"))
          assert.deepEqual(sessions.recall("b"), talk("two", "s2"))
          assert.isUndefined(sessions.recall("c"))
        })
      )
    })
  )

  it.effect("recalls before the CLI has named it that there is a conversation", () =>
    Effect.gen(function* () {
      const life = yield* lives
      yield* life((sessions) => sessions.remember("a", talk("one")))
      yield* life((sessions) => Effect.sync(() => assert.deepEqual(sessions.recall("a"), talk("one"))))
    })
  )

  it.effect("does not forget a conversation that has taken the place of the settled one", () =>
    Effect.gen(function* () {
      const life = yield* lives
      yield* life((sessions) =>
        Effect.gen(function* () {
          yield* sessions.remember("a", talk("one", "s1"))
          yield* sessions.remember("a", talk("two", "s2"))
          yield* sessions.forget("a", "one")
        })
      )
      yield* life((sessions) => Effect.sync(() => assert.deepEqual(sessions.recall("a"), talk("two", "s2"))))
    })
  )

  it.effect("of two agents that were at one task, lets the later one have it", () =>
    Effect.gen(function* () {
      const life = yield* lives
      yield* life((sessions) =>
        Effect.gen(function* () {
          yield* sessions.remember("b", talk("one", "s1"))
          yield* sessions.remember("a", talk("one", "s2"))
        })
      )
      yield* life((sessions) =>
        Effect.gen(function* () {
          assert.isUndefined(sessions.recall("b"))
          assert.deepEqual(sessions.recall("a"), talk("one", "s2"))
          // And nobody owns what was dropped.
          yield* sessions.own("c", "s1")
        })
      )
    })
  )

  it.effect(
    "gives a session to one agent, refuses it to another by name, and frees it when that one goes on elsewhere",
    () =>
      Effect.gen(function* () {
        const life = yield* lives
        yield* life((sessions) =>
          Effect.gen(function* () {
            yield* sessions.own("a", "s")
            yield* sessions.own("a", "s")
            assert.deepInclude(yield* Effect.flip(sessions.own("b", "s")), { _tag: "SessionOwned", owner: "a" })
            assert.strictEqual((yield* Effect.flip(sessions.remember("b", talk("two", "s"))))._tag, "SessionOwned")
            yield* sessions.remember("a", talk("one", "other"))
            yield* sessions.own("b", "s")
            assert.deepInclude(yield* Effect.flip(sessions.own("a", "s")), { owner: "b" })
          })
        )
      })
  )

  it.effect("lets one of many that come at once have it", () =>
    Effect.gen(function* () {
      const life = yield* lives
      yield* life((sessions) =>
        Effect.gen(function* () {
          const names = Array.from({ length: 20 }, (_, n) => `a${n}`)
          const answers = yield* Effect.forEach(names, (name) => Effect.result(sessions.own(name, "s")), {
            concurrency: "unbounded"
          })
          assert.lengthOf(
            answers.filter(({ _tag }) => _tag === "Success"),
            1
          )
        })
      )
    })
  )

  it.effect("keeps an owner over the end of the runtime", () =>
    Effect.gen(function* () {
      const life = yield* lives
      yield* life((sessions) => sessions.remember("a", talk("one", "s")))
      yield* life((sessions) =>
        Effect.gen(function* () {
          assert.strictEqual((yield* Effect.flip(sessions.own("b", "s"))).owner, "a")
          yield* sessions.own("a", "s")
        })
      )
    })
  )

  it.effect("passes over what it cannot read", () =>
    Effect.gen(function* () {
      const life = yield* lives
      yield* life((sessions) =>
        Effect.gen(function* () {
          const store = yield* StateStore
          yield* sessions.remember("a", talk("one", "s"))
          yield* store.put("conversations", "b", "{}")
          yield* store.put("conversations", "c", "no JSON")
        })
      )
      yield* life((sessions) =>
        Effect.sync(() => {
          assert.deepEqual(sessions.recall("a"), talk("one", "s"))
          assert.isUndefined(sessions.recall("b"))
          assert.isUndefined(sessions.recall("c"))
        })
      )
    })
  )

  it.effect("lets the work go on where nothing can be written", () =>
    Effect.gen(function* () {
      const full = Effect.fail(new StateUnusable({ where: "state.db", problem: "full", detail: "no room" }))
      const broken = Layer.mock(StateStore, { list: () => Effect.succeed([]), get: () => full, put: () => full })
      yield* Effect.gen(function* () {
        const sessions = yield* Sessions
        yield* sessions.remember("a", talk("one", "s"))
        yield* sessions.remember("a", talk("one"))
        yield* sessions.own("a", "s")
        yield* sessions.forget("a", "one")
      }).pipe(Effect.provide(Sessions.layer.pipe(Layer.provide(broken))))
    })
  )
})
