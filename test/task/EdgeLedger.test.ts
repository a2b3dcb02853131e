import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { TaskId } from "../../src/domain/Ids.ts"
import { noUsage } from "../../src/domain/Task.ts"
import { LedgerUnusable } from "../../src/task/TaskError.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { task } from "../utils/Specs.ts"
import { conformance } from "./conformance.ts"
import { make, settled, stateOf, test } from "./EdgeNode.ts"
import { around, done, failed, fault } from "./Homes.ts"

/** A ledger of its own bus, as another machine's is. */
const elsewhere = Effect.map(Layer.build(Layer.fresh(TaskLedger.layerMemory.pipe(Layer.provide(around)))), (context) =>
  Context.get(context, TaskLedger)
)

const home = (up: boolean) =>
  Layer.effect(
    TaskLedger,
    Effect.map(make({ up, tasks: 100_000 }), ({ ledger }) => ledger)
  ).pipe(Layer.provideMerge(around))

conformance("of a node whose fleet is there", home(true))
conformance("of a node that is cut off, and stores and forwards", home(false))

describe("a node that is cut off from its fleet", () => {
  test(
    "keeps how its attempts end, at once, and the fleet has each once and in order when it is back",
    Effect.gen(function* () {
      const { cut, fleet, heard, ledger, link, mend, outbox } = yield* make({ up: true })
      const ids = ["a", "b", "c", "d"]
      yield* ledger.submitAll(ids.map((id) => task({ id })))
      for (const id of ids) yield* ledger.claim(id, "agent")
      yield* cut
      yield* ledger.complete("b", 1, done("b", { text: "first" }))
      yield* ledger.giveUp("a", 1, failed("a"), { words: "I tried" })
      yield* ledger.park("c", 1, { until: 4e12, fault, usage: { ...noUsage, turns: 2 } })
      yield* ledger.awaitPerson("d", 1, { fault, usage: noUsage })
      assert.strictEqual(yield* stateOf(fleet, "b"), "running")
      assert.deepEqual(
        (yield* outbox.reports(10)).map(({ attempt, report, task }) => `${task} ${attempt} ${report.kind}`),
        ["b 1 complete", "a 1 giveUp", "c 1 park", "d 1 awaitPerson"]
      )
      yield* mend
      assert.deepEqual(yield* Effect.forEach(ids, (id) => stateOf(fleet, id)), [
        "dead",
        "succeeded",
        "parked",
        "waiting"
      ])
      assert.strictEqual((yield* fleet.result("b")).text, "first")
      assert.strictEqual((yield* fleet.history("a"))[0]?.words, "I tried")
      assert.deepEqual(link.published, ["b", "a"])
      assert.deepEqual(outbox.counts(), { reports: 0, events: 0 })
      const kinds = heard.filter(({ type }) => type === "fleet.mode" || type === "outbox.kept").map(({ type }) => type)
      assert.deepEqual(kinds, ["fleet.mode", ...ids.map(() => "outbox.kept"), "fleet.mode"])
    })
  )

  test(
    "frees who waits for a write of which the answer does not come, and counts it as made once",
    Effect.gen(function* () {
      for (const kind of ["complete", "giveUp", "park"] as const) {
        const { becomes, fleet, heard, ledger, link, mend } = yield* make({ up: true })
        yield* ledger.submit(task({ id: "t" }))
        yield* ledger.claim("t", "agent")
        yield* link.loseAnswer()
        if (kind === "park") yield* ledger.park("t", 1, { until: 4e12, fault, usage: noUsage })
        else yield* ledger[kind]("t", 1, kind === "complete" ? done("t") : failed("t"))
        yield* becomes("store_and_forward")
        const before = yield* fleet.get("t")
        assert.notStrictEqual(before.state, "running")
        yield* mend
        assert.deepStrictEqual(yield* fleet.get("t"), before)
        assert.lengthOf(yield* fleet.history("t"), 1)
        assert.isEmpty(heard.filter(({ type }) => type === "outbox.refused"))
        assert.deepStrictEqual(link.published, kind === "park" ? [] : ["t"])
      }
    })
  )

  test(
    "drops what others have taken over meanwhile, and says so: the fence decides",
    Effect.gen(function* () {
      const { cut, fleet, heard, ledger, mend } = yield* make({ up: true })
      for (const id of ["ended", "running", "cancelled", "gone"]) {
        yield* ledger.submit(task({ id }))
        yield* ledger.claim(id, "agent")
      }
      yield* cut
      // Another node misses this one.
      for (const id of ["ended", "running"]) {
        yield* fleet.park(id, 1, { until: 0, fault, usage: noUsage })
        yield* fleet.claim(id, "other")
      }
      yield* fleet.complete("ended", 2, done("ended", { text: "theirs", agent: "other" }))
      yield* fleet.cancel("cancelled", "why")
      for (const id of ["ended", "running", "cancelled"]) yield* ledger.complete(id, 1, done(id, { text: "ours" }))
      yield* mend
      assert.strictEqual((yield* fleet.result("ended")).text, "theirs")
      assert.deepInclude(yield* fleet.get("running"), { state: "running", attempt: 2, agent: "other" })
      assert.strictEqual(yield* stateOf(fleet, "cancelled"), "cancelled")
      const refused = heard.filter((event) => event.type === "outbox.refused")
      assert.deepStrictEqual(
        refused.map((event) => event.type === "outbox.refused" && `${event.task} ${event.attempt} ${event.fault.kind}`),
        ["ended 1 AttemptSuperseded", "running 1 AttemptSuperseded", "cancelled 1 AttemptSuperseded"]
      )
    })
  )

  test(
    "claims again what was only put back into the queue, and ends it with what was done",
    Effect.gen(function* () {
      const { cut, fleet, heard, ledger, mend } = yield* make({ up: true })
      yield* ledger.submit(task({ id: "t" }))
      yield* ledger.claim("t", "agent")
      yield* cut
      yield* fleet.park("t", 1, { until: 0, fault, usage: noUsage, interrupted: true })
      yield* ledger.complete("t", 1, done("t", { text: "ours" }))
      yield* mend
      assert.deepInclude(yield* fleet.get("t"), { state: "succeeded", attempt: 2 })
      assert.deepInclude(yield* fleet.result("t"), { text: "ours", attempts: 2 })
      assert.isEmpty(heard.filter(({ type }) => type === "outbox.refused"))
    })
  )

  test(
    "begins nothing of the fleet, and tells what it cannot know from what is not there",
    Effect.gen(function* () {
      const { cut, ledger } = yield* make({ up: true })
      yield* ledger.submit(task({ id: "t" }))
      yield* cut
      assert.isEmpty(yield* ledger.heads())
      assert.instanceOf(yield* Effect.flip(ledger.claim("t", "a")), LedgerUnusable)
      assert.instanceOf(yield* Effect.flip(ledger.cancel("t", "why")), LedgerUnusable)
      assert.deepInclude(yield* ledger.submit(task({ id: "t" }), { again: true }), { state: "queued", attempt: 0 })
      assert.strictEqual(yield* stateOf(ledger, "t"), "queued")
      assert.strictEqual((yield* ledger.submit(task({ id: "t" }))).state, "queued")
      assert.strictEqual((yield* Effect.flip(ledger.get("never")))._tag, "TaskUnknown")
    })
  )

  test(
    "gives a claim back of which the answer came when nobody waited for it any more",
    Effect.gen(function* () {
      const { cut, fleet, ledger, link, mend } = yield* make({ up: true })
      yield* ledger.submit(task({ id: "t" }))
      yield* link.loseAnswer()
      assert.instanceOf(yield* Effect.flip(ledger.claim("t", "agent")), LedgerUnusable)
      assert.deepInclude(yield* fleet.get("t"), { state: "running", attempt: 1 })
      yield* cut
      yield* mend
      // It was not this life's first meeting: what its nodes hold the fleet itself looks after.
      assert.strictEqual(yield* stateOf(ledger, "t"), "running")
    })
  )

  test(
    "takes no tasks where it is not told to, and its attempts end all the same",
    Effect.gen(function* () {
      const { cut, edge, fleet, ledger, mend } = yield* make({ up: true, whenCutOff: "noNewWork" })
      yield* ledger.submit(task({ id: "t" }))
      yield* ledger.claim("t", "agent")
      assert.strictEqual(edge.mode(), "full")
      yield* cut
      assert.instanceOf(yield* Effect.flip(ledger.submit(task({ id: "u" }))), LedgerUnusable)
      yield* ledger.complete("t", 1, done("t"))
      yield* mend
      assert.strictEqual(yield* stateOf(fleet, "t"), "succeeded")
    })
  )
})

describe("a node that stores and forwards", () => {
  test(
    "performs what it accepts, and hands it over: with its end, or not begun, under its id",
    Effect.gen(function* () {
      const { edge, fleet, heard, ledger, link, mend } = yield* make({ up: false })
      yield* ledger.submitAll(["done", "dead", "running", "queued"].map((id) => task({ id })))
      yield* ledger.submit({ ...task({ id: "after" }), after: [TaskId.make("running")] })
      yield* ledger.submit({ ...task({ id: "later" }), notBefore: "1 hour" })
      for (const id of ["done", "dead", "running"]) yield* ledger.claim(id, "agent")
      yield* ledger.complete("done", 1, done("done", { text: "here", output: { n: 1 } }))
      yield* ledger.giveUp("dead", 1, failed("dead"), { words: "I tried" })
      const before = yield* ledger.get("done")
      assert.deepStrictEqual(edge.waiting(), { reports: 0, tasks: 6 })
      yield* mend
      assert.deepStrictEqual(yield* fleet.get("done"), before)
      assert.strictEqual((yield* fleet.history("dead"))[0]?.words, "I tried")
      assert.deepInclude(yield* fleet.get("queued"), { state: "queued", attempt: 0 })
      assert.strictEqual(yield* stateOf(fleet, "later"), "parked")
      assert.strictEqual((yield* Effect.flip(fleet.get("running")))._tag, "TaskUnknown")
      assert.deepStrictEqual(edge.waiting(), { reports: 0, tasks: 2 })
      // Somebody else can have it now, and nobody has it twice.
      assert.deepStrictEqual(
        (yield* ledger.heads()).map(({ id }) => id),
        ["queued"]
      )
      yield* fleet.claim("queued", "other")
      assert.isEmpty(yield* ledger.heads())
      yield* ledger.complete("running", 1, done("running"))
      yield* settled(fleet, "done")
      while (edge.waiting().tasks > 0) yield* Effect.yieldNow
      assert.strictEqual(yield* stateOf(fleet, "running"), "succeeded")
      assert.deepInclude(yield* fleet.get("after"), { state: "queued", attempt: 0 })
      assert.sameMembers(link.published, ["done", "dead", "running"])
      // Each move was told once.
      const moves = heard.flatMap((event) => (event.type === "task.state" ? [`${event.task} ${event.to}`] : []))
      assert.sameMembers(moves, [...new Set(moves)])
    })
  )

  test(
    "answers who waits for a result, wherever the task has gone",
    Effect.gen(function* () {
      const { fleet, ledger, mend } = yield* make({ up: false })
      yield* ledger.submitAll([task({ id: "here" }), task({ id: "there" })])
      const here = yield* Effect.forkChild(ledger.result("here"))
      const there = yield* Effect.forkChild(ledger.result("there"))
      yield* ledger.claim("here", "agent")
      yield* Effect.yieldNow
      yield* mend
      yield* ledger.complete("here", 1, done("here", { text: "ours" }))
      yield* fleet.claim("there", "other")
      yield* fleet.complete("there", 1, done("there", { text: "theirs" }))
      assert.strictEqual((yield* Fiber.join(here)).text, "ours")
      assert.strictEqual((yield* Fiber.join(there)).text, "theirs")
    })
  )

  test(
    "gives way to what the fleet has under the same id, but for a task that nobody has begun",
    Effect.gen(function* () {
      const { fleet, heard, ledger, mend } = yield* make({ up: false })
      const ids = ["other", "begun", "ended", "untouched"]
      for (const id of ids) {
        yield* ledger.submit(task({ id }))
        yield* ledger.claim(id, "agent")
        yield* ledger.complete(id, 1, done(id, { text: "ours" }))
        yield* fleet.submit(task({ id, prompt: id === "other" ? "something else" : "do it" }))
      }
      for (const id of ["begun", "ended"]) yield* fleet.claim(id, "b", 60_000)
      yield* fleet.complete("ended", 1, done("ended", { text: "theirs" }))
      yield* mend
      assert.deepStrictEqual(yield* Effect.forEach(ids, (id) => stateOf(fleet, id)), [
        "queued",
        "running",
        "succeeded",
        "succeeded"
      ])
      assert.strictEqual((yield* fleet.result("ended")).text, "theirs")
      assert.strictEqual((yield* fleet.result("untouched")).text, "ours")
      assert.deepStrictEqual(
        heard.flatMap((event) => (event.type === "outbox.refused" ? [`${event.task} ${event.fault.kind}`] : [])),
        ["other TaskConflict", "begun AttemptSuperseded", "ended AttemptSuperseded"]
      )
    })
  )

  test(
    "accepts no more than may wait for the fleet",
    Effect.gen(function* () {
      const { ledger, mend } = yield* make({ up: false, tasks: 2 })
      yield* ledger.submitAll([task({ id: "a" }), task({ id: "b" })])
      assert.deepInclude(yield* Effect.flip(ledger.submit(task({ id: "c" }))), { _tag: "LedgerFull", limit: 2 })
      yield* ledger.submit(task({ id: "a" }))
      yield* mend
      yield* ledger.submit(task({ id: "c" }))
    })
  )

  test(
    "loses an answer while it hands over, and neither loses nor doubles the task",
    Effect.gen(function* () {
      const { becomes, edge, fleet, heard, ledger, link, mend } = yield* make({ up: false })
      yield* ledger.submitAll(["ended", "fresh"].map((id) => task({ id })))
      yield* ledger.claim("ended", "agent")
      yield* ledger.complete("ended", 1, done("ended"))
      for (const [lost, nth] of [
        ["ended", 1],
        ["fresh", 2]
      ] as const) {
        yield* link.loseAnswer(nth)
        yield* link.mend
        while (link.isUp()) yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* fleet.get(lost)).id, lost)
        assert.isEmpty(yield* ledger.heads().pipe(Effect.map((heads) => heads.filter(({ id }) => id === lost))))
        if (lost === "fresh") assert.strictEqual((yield* ledger.get("fresh")).state, "queued")
      }
      assert.strictEqual(edge.mode(), "store_and_forward")
      yield* mend
      yield* becomes("full")
      assert.deepStrictEqual(edge.waiting(), { reports: 0, tasks: 0 })
      assert.lengthOf(yield* fleet.list(), 2)
      assert.isEmpty(heard.filter(({ type }) => type === "outbox.refused"))
    })
  )

  test(
    "knows in its next life what the fleet has and what it does not",
    Effect.gen(function* () {
      const { again, cut, fleet, ledger, link, mend } = yield* make({ up: true })
      yield* ledger.submit(task({ id: "fleets" }))
      yield* cut
      yield* ledger.submitAll([task({ id: "ended" }), task({ id: "open" })])
      yield* ledger.claim("ended", "agent")
      yield* ledger.complete("ended", 1, done("ended"))
      const next = yield* again
      assert.deepStrictEqual(next.waiting(), { reports: 0, tasks: 2 })
      assert.instanceOf(yield* Effect.flip(next.ledger.get("fleets")), LedgerUnusable)
      // As it was when the fleet accepted it; what has become of it the fleet knows.
      assert.strictEqual((yield* next.ledger.submit(task({ id: "fleets" }), { again: true })).state, "queued")
      const other = yield* Effect.flip(next.ledger.submit(task({ id: "fleets", prompt: "something else" })))
      assert.strictEqual(other._tag, "TaskConflict")
      assert.deepStrictEqual(
        (yield* next.ledger.heads()).map(({ id }) => id),
        ["open"]
      )
      yield* mend
      assert.isTrue(link.isUp())
      assert.lengthOf(yield* fleet.list(), 3)
    })
  )
})

it.effect("what a node has from another home stays apart from the fleet's", () =>
  Effect.gen(function* () {
    const one = yield* elsewhere
    yield* one.submit(task({ id: "t" }))
    assert.isTrue(yield* one.withdraw("t"))
    assert.isTrue(yield* one.withdraw("t"))
    assert.isEmpty(yield* one.heads())
    yield* one.submit(task({ id: "u" }))
    yield* one.claim("u", "a")
    assert.isFalse(yield* one.withdraw("u"))
  }).pipe(Effect.scoped)
)
