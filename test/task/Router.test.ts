import { assert, describe, it } from "@effect/vitest"
import { route } from "../../src/task/Router.ts"
import { agent, record } from "../utils/Snapshots.ts"
import { task } from "../utils/Specs.ts"

const nobody = new Set<string>()

describe("Router", () => {
  it("lets a task wait for an agent that an operator has stopped, and not for one that is gone for good", () => {
    const down = agent("a", { state: "terminated" })
    assert.deepStrictEqual(route(record(), [{ ...down, gone: true }], nobody), { _tag: "Nobody" })
    assert.deepStrictEqual(route(record(), [{ ...down, gone: false }], nobody), { _tag: "Wait" })
  })

  it("gives a task to an idle agent that takes its type", () => {
    const agents = [agent("a", { taskTypes: ["code"] }), agent("b", { state: "busy" }), agent("c")]
    assert.deepStrictEqual(route(record(), agents, nobody), { _tag: "Take", agent: "c" })
  })

  it("lets a task wait for an agent that has ended only because its siblings begin anew", () => {
    assert.deepStrictEqual(route(record(), [agent("a", { state: "terminated", gone: false })], nobody), {
      _tag: "Wait"
    })
  })

  it("lets a task wait for the agent that it names, any replica of it", () => {
    const agents = [
      agent("a"),
      agent("b-1", { group: "b", state: "busy" }),
      agent("b-2", { group: "b", state: "error" })
    ]
    assert.deepStrictEqual(route(record({ spec: task({ agent: "b" }) }), agents, nobody), { _tag: "Wait" })
    assert.deepStrictEqual(route(record({ spec: task({ agent: "a" }) }), agents, nobody), { _tag: "Take", agent: "a" })
  })

  it("gives a task to the agent that it prefers where that is idle, and to another where not", () => {
    const preferring = record({}, { prefer: "b" })
    assert.deepStrictEqual(route(preferring, [agent("a"), agent("b")], new Set()), { _tag: "Take", agent: "b" })
    const replicas = [agent("a"), agent("b-1", { group: "b", state: "busy" }), agent("b-2", { group: "b" })]
    assert.deepStrictEqual(route(preferring, replicas, new Set()), { _tag: "Take", agent: "b-2" })
    const busy = [agent("a"), agent("b", { state: "busy" })]
    assert.deepStrictEqual(route(preferring, busy, new Set()), { _tag: "Take", agent: "a" })
    assert.deepStrictEqual(route(preferring, [agent("a"), agent("b", { taskTypes: ["x"] })], new Set()), {
      _tag: "Take",
      agent: "a"
    })
  })

  it("says that nobody takes a task when all who could have ended", () => {
    const agents = [agent("a", { state: "terminated" }), agent("b", { taskTypes: ["code"] })]
    assert.deepStrictEqual(route(record(), agents, nobody), { _tag: "Nobody" })
  })

  it("lets an interrupted task wait for the agent that holds its conversation, though another is idle", () => {
    const agents = [agent("a"), agent("b", { state: "restarting", holds: "t" })]
    assert.deepStrictEqual(route(record({ attempt: 1 }), agents, nobody), { _tag: "Wait" })
  })

  it("gives an interrupted task to another when who held its conversation has ended", () => {
    const agents = [agent("a"), agent("b", { state: "terminated", holds: "t" })]
    assert.deepStrictEqual(route(record({ attempt: 1 }), agents, nobody), { _tag: "Take", agent: "a" })
  })

  it("takes an agent that holds another's interrupted conversation last", () => {
    const agents = [agent("a", { holds: "other" }), agent("b")]
    assert.deepStrictEqual(route(record(), agents, new Set(["other"])), { _tag: "Take", agent: "b" })
    assert.deepStrictEqual(route(record(), agents.slice(0, 1), new Set(["other"])), { _tag: "Take", agent: "a" })
  })
})
