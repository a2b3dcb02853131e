import { Effect, Stream } from "effect"
import { assert, describe, it } from "vitest"
import type { AgentSnapshot } from "../../src/agent/AgentPool.ts"
import { type Around, explain } from "../../src/task/Explain.ts"
import type { Here } from "../../src/task/Here.ts"
import { meantBy } from "../../src/task/Routing.ts"
import { spokesOf } from "../../src/task/Strategies.ts"
import type { TaskRecord } from "../../src/task/TaskRecord.ts"
import { agent, record } from "../utils/Snapshots.ts"

const fault = { kind: "RateLimited", message: "the limit is reached" } as NonNullable<TaskRecord["lastFault"]>
const around = (agents: ReadonlyArray<AgentSnapshot>, more: Partial<Around> = {}): Around => ({
  now: 1_000,
  agents,
  meant: (_task, able) => able,
  performs: new Map([["busy", "other"]]),
  awaited: [],
  draining: false,
  ...more
})
const here = (lives: boolean): Here => ({
  node: "near",
  shared: true,
  lastNode: () => undefined,
  others: { standing: () => undefined, lives: () => lives, all: () => [], changes: Effect.succeed(Stream.never) }
})
const busy = agent("busy", { state: "busy" })

describe("why a task is where it is", () => {
  const cases: ReadonlyArray<readonly [string, TaskRecord, Around, string]> = [
    [
      "names who could take it and what they do",
      record(),
      around([busy, agent("p", { state: "paused" }), agent("x", { taskTypes: ["code"] })]),
      'task "t" is queued, and waits for an agent that takes tasks of type "task": busy performs "other", p is paused.'
    ],
    [
      "says that it is its turn soon",
      record(),
      around([busy, agent("free")]),
      'task "t" is queued, and is given out as soon as it is its turn: free can take it.'
    ],
    [
      "names only those that can do what it requires",
      record({}, { capabilities: ["rust"] }),
      around([agent("free"), { ...busy, capabilities: ["rust"] }]),
      'task "t" is queued, and waits for an agent that takes tasks of type "task" and can do "rust": busy performs "other".'
    ],
    [
      "says what is missing where nobody is left",
      record({}, { capabilities: ["rust"] }),
      around([agent("free")]),
      'task "t" is queued, and nobody is left who takes tasks of type "task" and can do "rust"; missing is "rust".'
    ],
    [
      "names the spoke for which it waits, though others are idle",
      record({}, { type: "code" }),
      around([agent("coder", { state: "error" }), agent("free")], {
        meant: meantBy({ strategy: "hub_and_spoke", spokes: spokesOf({}), decayMillis: 1 })
      }),
      'task "t" is queued, and waits for an agent that takes tasks of type "code": coder is error.'
    ],
    [
      "names the node that has begun it, and to which it is left while that lives",
      record({ attempt: 1, node: "far" }),
      around([agent("free")], { here: here(true) }),
      'task "t" is queued, and is left to node "far" for a while, which has begun it.'
    ],
    [
      "does not wait for a node that is dead",
      record({ attempt: 1, node: "far" }),
      around([agent("free")], { here: here(false) }),
      'task "t" is queued, and is given out as soon as it is its turn: free can take it.'
    ],
    [
      "names the agent that holds its conversation",
      record({ attempt: 1 }),
      around([agent("free"), { ...busy, holds: "t" }]),
      'task "t" waits for busy, which holds its conversation and performs "other".'
    ],
    [
      "says that the node begins nothing any more",
      record(),
      around([busy], { draining: true }),
      'task "t" is queued, and waits for the next run: the node begins nothing any more.'
    ],
    [
      "says until when it is parked, and after what",
      record({ state: "parked", dueAt: 61_000, lastFault: fault }),
      around([]),
      'task "t" is parked until 1970-01-01T00:01:01.000Z, to be tried again after RateLimited: the limit is reached.'
    ],
    [
      "names the tasks for which it waits",
      record({ state: "parked" }),
      around([], { awaited: [record({ id: "first", state: "running" }), record({ id: "second" })] }),
      'task "t" waits for "first" (running), "second" (queued).'
    ],
    [
      "says who performs it",
      record({ state: "running", attempt: 3, before: 1, agent: "busy", startedAt: 0 }),
      around([busy]),
      'task "t" is performed by busy, attempt 2, begun at 1970-01-01T00:00:00.000Z.'
    ],
    [
      "says how it ended",
      record({ state: "failed", endedAt: 0, lastFault: fault }),
      around([]),
      'task "t" has failed at 1970-01-01T00:00:00.000Z: the limit is reached.'
    ]
  ]
  for (const [what, of, within, sentence] of cases) it(what, () => assert.strictEqual(explain(of, within), sentence))

  it("names no more agents than anybody reads", () => {
    const many = Array.from({ length: 500 }, (_, n) => agent(`a${n}`, { state: "busy" }))
    const sentence = explain(record(), around(many))
    assert.match(sentence, /and 490 more\.$/)
  })
})
