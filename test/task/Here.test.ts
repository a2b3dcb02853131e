import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Here from "../../src/task/Here.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { agent, record } from "../utils/Snapshots.ts"
import { task } from "../utils/Specs.ts"
import { memory, sqlite } from "./Homes.ts"

const here = (last: Readonly<Record<string, string>>): Here.Here => ({
  node: "edge-1",
  shared: true,
  lastNode: (task) => last[task]
})

describe("a node among others", () => {
  it("believes its agents to hold only what no other node has held since", () => {
    const agents = [agent("helper", { holds: "a" }), agent("other", { holds: "b" }), agent("free", { holds: "c" })]
    const holds = (at: Here.Here | undefined) => Here.own(agents, at).map(({ holds }) => holds)
    assert.deepStrictEqual(holds(here({ a: "edge-2", b: "edge-1" })), [undefined, "b", "c"])
    // Who is alone has nobody to lose it to.
    assert.deepStrictEqual(holds(undefined), ["a", "b", "c"])
    assert.deepStrictEqual(holds({ ...here({ a: "edge-2" }), shared: false }), ["a", "b", "c"])
  })

  it("answers for itself only", () => {
    const wait = { _tag: "Wait" } as const
    const take = { _tag: "Take", agent: "helper" } as const
    const nobody = { _tag: "Nobody" } as const
    const alone = { ...here({}), shared: false }
    const [any, mine, theirs] = [record(), record({}, { node: "edge-1" }), record({}, { node: "edge-2" })]
    assert.deepStrictEqual(Here.among(any, here({}), take), take)
    assert.deepStrictEqual(Here.among(any, here({}), nobody), wait)
    assert.deepStrictEqual(Here.among(mine, here({}), nobody), nobody)
    assert.deepStrictEqual(Here.among(mine, here({}), take), take)
    assert.deepStrictEqual(Here.among(theirs, here({}), take), wait)
    assert.deepStrictEqual(Here.among(theirs, alone, take), nobody)
    assert.deepStrictEqual(Here.among(any, alone, nobody), nobody)
    assert.deepStrictEqual(Here.among(theirs, undefined, take), take)
  })

  for (const [home, layer] of [
    ["in memory", memory],
    ["in a file", sqlite]
  ] as const)
    it.effect(`${home}: what one node only may take stands in a lane of its own, and is another task`, () =>
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submit(task({ id: "bound", node: "edge-2" }))
        yield* ledger.submit(task({ id: "free" }))
        yield* ledger.submit(task({ id: "named", agent: "helper", node: "edge-2" }))
        const heads = yield* ledger.heads()
        assert.deepStrictEqual(
          heads.map(({ id, spec: { agent, node } }) => [id, agent, node]),
          [
            ["bound", undefined, "edge-2"],
            ["free", undefined, undefined],
            ["named", "helper", "edge-2"]
          ]
        )
        const conflict = yield* Effect.flip(ledger.submit(task({ id: "bound", node: "edge-3" })))
        assert.strictEqual(conflict._tag, "TaskConflict")
      }).pipe(Effect.provide(layer))
    )
})
