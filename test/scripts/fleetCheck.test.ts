/** The checker of the fleet under fire finds what is wrong: each of the faults that are made up here. */
import { assert, describe, it } from "vitest"
import { type CheckInput, check } from "../../scripts/fleet/check.ts"

type Json = Record<string, unknown>

const attempt = (number: number, node: string, more: Json = {}) => ({
  attempt: number,
  agent: "worker-1",
  node,
  begunAt: number * 100,
  endedAt: number * 100 + 50,
  ended: "succeeded",
  ...more
})

/** A task that was taken from one node and ended by another, and one that came after it. */
const good = () => {
  const entry = (id: string, attempts: Array<Json>, text: string) => ({
    record: {
      id,
      state: "succeeded",
      attempt: attempts.length,
      node: attempts.at(-1)?.["node"],
      endedAt: attempts.at(-1)?.["endedAt"],
      result: { task: id, status: "succeeded", text, attempts: attempts.length }
    } as Json & { result?: Json },
    attempts,
    waits: [] as Array<string>
  })
  const lost = attempt(1, "n1", { ended: "queued", fault: { kind: "LeaseExpired" } })
  const first = entry("t0", [lost, attempt(2, "n2")], "did t0 in n2-1")
  const second = entry("t1", [attempt(3, "n1")], "did t1 in n1-2")
  second.record["attempt"] = 1
  second.attempts[0] = attempt(1, "n1", { begunAt: 300, endedAt: 350 })
  second.record["endedAt"] = 350
  const told = (id: string, number: number, text: string) => ({
    subject: `tasks.${id}.result`,
    body: { type: "TaskResult", body: { task: id, attempt: number, text } } as { body: Json } & Json
  })
  return {
    first,
    second,
    keys: [
      { key: "task.t0", revision: 7, value: { by: "a", now: first } as Json },
      { key: "task.t1", revision: 9, value: { by: "b", now: second } as Json },
      { key: "node.n1", revision: 10, value: { session: "s", beat: 3 } as Json }
    ],
    results: [told("t0", 2, "did t0 in n2-1"), told("t1", 1, "did t1 in n1-2")],
    queue: [] as Array<ReturnType<typeof told>>,
    dispatch: [] as Array<ReturnType<typeof told>>,
    dead: [] as Array<ReturnType<typeof told>>,
    told,
    calls: [
      { node: "n1", call: "n1-1", at: 110, task: "t0" },
      { node: "n2", call: "n2-1", at: 210, task: "t0" },
      { node: "n1", call: "n1-2", at: 310, task: "t1" }
    ],
    acknowledged: new Map([
      ["t0", [] as Array<string>],
      ["t1", ["t0"]]
    ])
  }
}

type Good = ReturnType<typeof good>

const checked = (change: (it: Good) => void) => {
  const it = good()
  change(it)
  const { acknowledged, calls, dead, dispatch, keys, queue, results } = it
  return check({ records: { keys, results, queue, dispatch, dead }, calls, acknowledged } satisfies CheckInput)
}

const faults: ReadonlyArray<readonly [string, (it: Good) => void, RegExp]> = [
  ["lost", ({ keys }) => void keys.splice(1, 1), /t1: it was acknowledged, and it is not there/],
  ["nobody's", ({ acknowledged }) => void acknowledged.delete("t1"), /t1: nobody has asked for it/],
  [
    "kept twice",
    ({ first, keys }) => void keys.push({ key: "task.x", revision: 1, value: { now: first } }),
    /two keys/
  ],
  ["not ended", ({ first }) => void Object.assign(first.record, { state: "running" }), /did not succeed/],
  ["failed", ({ second }) => void Object.assign(second.record, { state: "dead" }), /did not succeed/],
  ["without a result", ({ first }) => void delete first.record.result, /has no result/],
  [
    "with another's result",
    ({ first }) => void Object.assign(first.record, { result: { ...first.record.result, task: "t1" } }),
    /that of t1/
  ],
  [
    "ended twice",
    ({ first }) => void first.attempts.splice(0, 1, attempt(1, "n1", { ended: "succeeded" })),
    /attempt 1 of 2 ended as succeeded/
  ],
  ["without an attempt", ({ first }) => void first.attempts.shift(), /attempts 2 instead of 1,2/],
  [
    "held twice at once",
    ({ first }) => void first.attempts.splice(1, 1, attempt(2, "n2", { begunAt: 120 })),
    /attempt 2 began before attempt 1 had ended/
  ],
  [
    "with an attempt that never ended",
    ({ first }) => void first.attempts.splice(0, 1, attempt(1, "n1", { endedAt: undefined, ended: undefined })),
    /attempt 1 has no end/
  ],
  [
    "written over by a late result",
    ({ first }) => void Object.assign(first.record, { result: { ...first.record.result, text: "did t0 in n1-1" } }),
    /its result is of n1, and n2 held it/
  ],
  [
    "with an older result",
    ({ calls }) => void calls.splice(1, 1, { node: "n2", call: "n2-1", at: 150, task: "t0" }),
    /older than attempt 2/
  ],
  [
    "with an answer that nobody gave",
    ({ first }) => void Object.assign(first.record, { result: { ...first.record.result, text: "did t0 in n2-9" } }),
    /nobody's model has answered/
  ],
  [
    "asked for too often",
    ({ calls }) => void calls.push({ node: "n1", call: "n1-3", at: 320, task: "t1" }),
    /2 times in 1/
  ],
  [
    "worked on and gone",
    ({ calls }) => void calls.push({ node: "n1", call: "n1-3", at: 9, task: "t9" }),
    /t9: it was worked/
  ],
  ["locked", ({ keys }) => void Object.assign(keys[0]?.value ?? {}, { lock: { tx: "x" } }), /task.t0: it is locked/],
  ["half moved", ({ keys }) => void keys.push({ key: "tx.a", revision: 1, value: {} }), /tx.a: a move was begun/],
  ["told twice", ({ results, told }) => void results.push(told("t1", 1, "did t1 in n1-2")), /told 2 times/],
  ["never told", ({ results }) => void results.pop(), /t1.*told 0 times/],
  [
    "told wrongly",
    ({ results, told }) => void results.splice(0, 1, told("t0", 1, "did t0 in n1-1")),
    /told was attempt 1/
  ],
  ["never taken", ({ queue, told }) => void queue.push(told("t1", 1, "")), /nobody has submitted it/],
  [
    "still given out",
    ({ dispatch, told }) => void dispatch.push(told("t1", 1, "")),
    /tasks.t1.result: it is still given out/
  ],
  ["dead", ({ dead, told }) => void dead.push(told("t1", 1, "")), /tasks.t1.result: /],
  [
    "begun too early",
    ({ second }) => void second.attempts.splice(0, 1, attempt(1, "n1", { begunAt: 240, endedAt: 350 })),
    /t1 .*began before t0 had ended/
  ]
]

describe("the checker of the fleet under fire", () => {
  it("finds nothing where all is as it must be", () => {
    const { problems, ...counts } = checked(() => {})
    assert.deepStrictEqual(problems, [])
    assert.deepStrictEqual(counts, {
      tasks: 2,
      attempts: 3,
      takenOver: 1,
      calls: 3,
      unused: 1,
      byNode: { n1: 1, n2: 1 }
    })
  })

  for (const [what, change, named] of faults)
    it(`finds a task that is ${what}`, () => {
      const { problems } = checked(change)
      assert.match(problems.join("\n"), named)
    })
})
