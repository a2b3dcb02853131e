/** For how long a node leaves a task to the queue, whatever the queue does. */
import { assert, describe, it } from "vitest"
import { TaskId, TaskType } from "../../src/domain/Ids.ts"
import { occupy } from "../../src/task/Handing.ts"
import { HoldOff, type Queued } from "../../src/task/HoldOff.ts"
import { AGE } from "../../src/task/Turn.ts"

const GRACE = 1_000

const queued = (id: string, queuedAt = 0, { priority = 0, type = "task" } = {}): Queued => ({
  id,
  queuedAt,
  spec: { id: TaskId.make(id), type: TaskType.make(type), prompt: "do it", priority }
})

/** A look in which these are met, one after the other. */
const look = (it: HoldOff, now: number, ...tasks: ReadonlyArray<Queued>) => {
  const left = tasks.map((task) => it.leftFor(task, now))
  return { left, until: it.looked() }
}

describe("a task that any node may take", () => {
  it("is left to the queue for the grace, and then it is this node's to try", () => {
    const it = new HoldOff(GRACE)
    assert.deepStrictEqual(look(it, 0, queued("t")), { left: [GRACE], until: GRACE })
    assert.deepStrictEqual(look(it, 999, queued("t")), { left: [1], until: GRACE })
    assert.deepStrictEqual(look(it, 1_000, queued("t")), { left: [0], until: undefined })
  })

  it("is left to it anew when this node has had nobody for it meanwhile", () => {
    const it = new HoldOff(GRACE)
    look(it, 0, queued("t"))
    look(it, 500)
    assert.deepStrictEqual(look(it, 900, queued("t")), { left: [GRACE], until: 1_900 })
  })

  it("is left to it for the grace from when it is first, each in its time", () => {
    const it = new HoldOff(GRACE)
    look(it, 0, queued("one", 0, { type: "a" }))
    assert.deepStrictEqual(look(it, 600, queued("one", 0, { type: "a" }), queued("two", 0, { type: "b" })), {
      left: [400, GRACE],
      until: GRACE
    })
  })

  it("is taken after the grace when what came later was handed out before, though nobody was idle between", () => {
    const it = new HoldOff(GRACE)
    it.handed(queued("later", 10))
    look(it, 0, queued("lost", 5))
    look(it, 100)
    assert.deepStrictEqual(look(it, 1_000, queued("lost", 5)).left, [0])
    // What was not overtaken is waited for from now on.
    assert.deepStrictEqual(look(it, 1_000, queued("next", 20)).left, [GRACE])
  })

  it("is overtaken by what its age puts behind it, whatever that one's band", () => {
    const it = new HoldOff(GRACE)
    it.handed(queued("high", AGE + 2, { priority: 1 }))
    look(it, 0, queued("old", 1))
    look(it, 100)
    assert.deepStrictEqual(look(it, 1_000, queued("old", 1)).left, [0])
    const young = new HoldOff(GRACE)
    young.handed(queued("high", AGE, { priority: 1 }))
    look(young, 0, queued("young", 1))
    look(young, 100)
    assert.deepStrictEqual(look(young, 1_000, queued("young", 1)).left, [GRACE])
  })

  it("is not left to a queue that has missed two, for a while, or until it hands something out", () => {
    const missing = () => {
      const it = new HoldOff(GRACE)
      for (const [id, at] of [
        ["one", 0],
        ["two", 1_000]
      ] as const) {
        look(it, at, queued(id))
        // Asked again, it is still the same.
        assert.deepStrictEqual(look(it, at + GRACE, queued(id)).left, [0])
        assert.deepStrictEqual(look(it, at + GRACE, queued(id, 0, { type: "another" })).left, [GRACE])
      }
      return it
    }
    const it = missing()
    assert.deepStrictEqual(look(it, 11_999, queued("three")).left, [0])
    assert.deepStrictEqual(look(it, 12_000, queued("three")).left, [GRACE])
    const back = missing()
    back.handed(queued("four"))
    assert.deepStrictEqual(look(back, 2_000, queued("five", 10)).left, [GRACE])
  })

  it("is not left to a queue that has failed, for a while", () => {
    const it = new HoldOff(GRACE)
    it.distrust(0)
    assert.deepStrictEqual(look(it, 9_999, queued("t")).left, [0])
    assert.deepStrictEqual(look(it, 10_000, queued("t")).left, [GRACE])
  })
})

describe("the idle agents of a node", () => {
  it("are taken for what they can do, those who can do least first", () => {
    const slots = [[], ["a", "b"], ["a"]]
    assert.isTrue(occupy(slots, "a"))
    assert.deepStrictEqual(slots, [[], ["a", "b"]])
    assert.isTrue(occupy(slots, "a"))
    assert.isTrue(occupy(slots, "c"))
    assert.isFalse(occupy(slots, "a"))
  })
})
