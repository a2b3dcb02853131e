/** What the fleet does not take of what was kept for it: too large, no room, and what makes its delivery die. */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { noUsage } from "../../src/domain/Task.ts"
import type { Published } from "../../src/event/Event.ts"
import { task } from "../utils/Specs.ts"
import { make, stateOf, test } from "./EdgeNode.ts"
import { done, failed, fault } from "./Homes.ts"

const LONG = "x".repeat(50_000)
/** Room for all but that. */
const LARGEST = 10_000

const refusedIn = (heard: ReadonlyArray<Published>) =>
  heard.flatMap((event) =>
    event.type === "outbox.refused" ? [`${event.task} ${event.attempt} ${event.fault.kind}`] : []
  )
const notifiedIn = (heard: ReadonlyArray<Published>) =>
  heard.flatMap((event) => (event.type === "operator.notified" ? [event.message] : []))

describe("what was kept for the fleet", () => {
  test(
    "and is too large for it is refused, and ends its task with less: a dead letter where an answer is lost",
    Effect.gen(function* () {
      const { cut, edge, fleet, heard, ledger, link, mend } = yield* make({ up: true })
      const ids = ["answer", "failure", "parked", "asks", "behind"]
      yield* ledger.submitAll(ids.map((id) => task({ id })))
      for (const id of ids) yield* ledger.claim(id, "agent")
      yield* cut
      link.largest = LARGEST
      yield* ledger.complete("answer", 1, done("answer", { text: `${LONG} in the end` }))
      yield* ledger.giveUp("failure", 1, failed("failure"), { words: LONG })
      yield* ledger.park("parked", 1, { until: 4e12, fault, usage: noUsage, words: LONG })
      yield* ledger.awaitPerson("asks", 1, { fault, usage: noUsage, words: LONG })
      yield* ledger.complete("behind", 1, done("behind"))
      yield* mend
      assert.strictEqual(edge.mode(), "full")
      assert.deepStrictEqual(yield* Effect.forEach(ids, (id) => stateOf(fleet, id)), [
        "dead",
        "dead",
        "parked",
        "waiting",
        "succeeded"
      ])
      assert.strictEqual((yield* fleet.result("answer")).fault?.kind, "LedgerUnusable")
      assert.match((yield* fleet.history("answer"))[0]?.words ?? "", /xxx in the end$/)
      // It was given up for its own reason.
      assert.deepStrictEqual((yield* fleet.result("failure")).fault, failed("failure").fault)
      assert.deepStrictEqual(
        refusedIn(heard),
        ["answer", "failure", "parked", "asks"].map((id) => `${id} 1 LedgerUnusable`)
      )
      assert.deepStrictEqual(edge.waiting(), { reports: 0, tasks: 0 })
    })
  )

  test(
    "and of which less has arrived before, unheard, is refused for the same reason",
    Effect.gen(function* () {
      const { cut, fleet, heard, ledger, link, mend } = yield* make({ up: true })
      for (const id of ["answer", "failure"]) {
        yield* ledger.submit(task({ id }))
        yield* ledger.claim(id, "agent")
        yield* cut
        link.largest = LARGEST
        if (id === "answer") yield* ledger.complete(id, 1, done(id, { text: LONG }))
        else yield* ledger.giveUp(id, 1, { ...failed(id), text: LONG })
        yield* link.loseAnswer()
        yield* link.mend
        while (link.isUp()) yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* stateOf(fleet, id), "dead")
        // The servers take more now, and say that the attempt is over.
        link.largest = Number.POSITIVE_INFINITY
        yield* mend
      }
      assert.deepStrictEqual(refusedIn(heard), [
        "answer 1 LedgerUnusable",
        `failure 1 ${failed("failure").fault?.kind}`
      ])
    })
  )

  test(
    "because it was too large while the fleet was there ends its task too, and frees its agent",
    Effect.gen(function* () {
      const { edge, fleet, heard, ledger, link } = yield* make({ up: true })
      yield* ledger.submit(task({ id: "t" }))
      yield* ledger.claim("t", "agent")
      link.largest = LARGEST
      yield* ledger.complete("t", 1, done("t", { text: LONG }))
      while (edge.waiting().reports > 0) yield* Effect.yieldNow
      assert.strictEqual(yield* stateOf(fleet, "t"), "dead")
      assert.deepStrictEqual(refusedIn(heard), ["t 1 LedgerUnusable"])
      assert.strictEqual(edge.mode(), "full")
    })
  )

  test(
    "and finds no room waits, and holds up nothing but what comes after it of the same task",
    Effect.gen(function* () {
      const { cut, edge, fleet, heard, ledger, link, mend } = yield* make({ up: true })
      yield* ledger.submitAll(["stuck", "behind"].map((id) => task({ id })))
      for (const id of ["stuck", "behind"]) yield* ledger.claim(id, "agent")
      yield* cut
      link.full.add("stuck")
      yield* ledger.complete("stuck", 1, done("stuck"))
      yield* ledger.complete("behind", 1, done("behind"))
      yield* mend
      assert.strictEqual(edge.mode(), "full")
      assert.strictEqual(yield* stateOf(fleet, "behind"), "succeeded")
      assert.strictEqual(yield* stateOf(fleet, "stuck"), "running")
      assert.deepStrictEqual(edge.waiting(), { reports: 1, tasks: 0 })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(edge.waiting(), { reports: 1, tasks: 0 })
      // Told once, however often it was tried.
      assert.lengthOf(notifiedIn(heard), 1)
      assert.match(notifiedIn(heard)[0] ?? "", /"stuck" waits for its fleet.*its storage is full/)
      assert.isEmpty(refusedIn(heard))
      link.full.clear()
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* stateOf(fleet, "stuck"), "succeeded")
      assert.deepStrictEqual(edge.waiting(), { reports: 0, tasks: 0 })
    })
  )

  test(
    "and makes its delivery die is told in the log and tried again, and the rest is delivered",
    Effect.gen(function* () {
      const { cut, edge, fleet, heard, ledger, link, mend } = yield* make({ up: true })
      yield* ledger.submitAll(["deadly", "behind"].map((id) => task({ id })))
      for (const id of ["deadly", "behind"]) yield* ledger.claim(id, "agent")
      yield* cut
      link.deadly.add("deadly")
      yield* ledger.complete("deadly", 1, done("deadly"))
      yield* ledger.complete("behind", 1, done("behind"))
      yield* mend
      assert.strictEqual(edge.mode(), "full")
      assert.strictEqual(yield* stateOf(fleet, "behind"), "succeeded")
      assert.match(notifiedIn(heard)[0] ?? "", /"deadly" cannot be delivered: Error: a fake defect/)
      link.deadly.clear()
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* stateOf(fleet, "deadly"), "succeeded")
    })
  )

  test(
    "reaches it although a look at the fleet died before",
    Effect.gen(function* () {
      const { cut, edge, fleet, ledger, link, mend } = yield* make({ up: true })
      yield* ledger.submit(task({ id: "t" }))
      yield* ledger.claim("t", "agent")
      yield* cut
      yield* ledger.complete("t", 1, done("t"))
      link.deadly.add("reach")
      yield* link.mend
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(edge.mode(), "store_and_forward")
      link.deadly.clear()
      yield* mend
      assert.strictEqual(yield* stateOf(fleet, "t"), "succeeded")
    })
  )

  test(
    "goes on when a delivery died while the fleet was there",
    Effect.gen(function* () {
      const { edge, fleet, ledger, link, mend } = yield* make({ up: false })
      yield* ledger.submitAll([task({ id: "deadly" }), task({ id: "other" })])
      for (const id of ["deadly", "other"]) yield* ledger.claim(id, "agent")
      yield* mend
      link.deadly.add("deadly")
      yield* ledger.complete("deadly", 1, done("deadly"))
      yield* TestClock.adjust("1 second")
      assert.isTrue(link.tried.includes("deadly"))
      yield* ledger.complete("other", 1, done("other"))
      while (edge.waiting().tasks > 1) yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* stateOf(fleet, "other"), "succeeded")
      link.deadly.clear()
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* stateOf(fleet, "deadly"), "succeeded")
    })
  )
})

describe("a task of this node", () => {
  test(
    "that is too large for the fleet is performed here where nobody has begun it, and a dead letter there where it has ended",
    Effect.gen(function* () {
      const { edge, fleet, heard, ledger, link, mend } = yield* make({ up: false })
      link.largest = LARGEST
      yield* ledger.submitAll([task({ id: "ended" }), task({ id: "asked", prompt: LONG }), task({ id: "small" })])
      yield* ledger.claim("ended", "agent")
      yield* ledger.complete("ended", 1, done("ended", { text: LONG }))
      yield* mend
      assert.strictEqual(edge.mode(), "full")
      assert.strictEqual(yield* stateOf(fleet, "ended"), "dead")
      assert.strictEqual(yield* stateOf(fleet, "small"), "queued")
      assert.deepStrictEqual(refusedIn(heard), ["ended 1 LedgerUnusable"])
      assert.strictEqual((yield* Effect.flip(fleet.get("asked")))._tag, "TaskUnknown")
      assert.sameMembers(
        (yield* ledger.heads()).map(({ id }) => id),
        ["asked", "small"]
      )
      const tried = link.tried.length
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(link.tried, tried)
      const { attempt } = yield* ledger.claim("asked", "agent")
      yield* ledger.complete("asked", attempt, done("asked", { text: "here" }))
      while (edge.waiting().tasks > 0) yield* Effect.yieldNow
      // What the fleet does not have is read here.
      assert.strictEqual((yield* ledger.result("asked")).text, "here")
      assert.deepStrictEqual(refusedIn(heard), ["ended 1 LedgerUnusable", `asked ${attempt} LedgerUnusable`])
    })
  )

  test(
    "for which the fleet has no room waits alone",
    Effect.gen(function* () {
      const { edge, fleet, ledger, link, mend } = yield* make({ up: false })
      yield* ledger.submitAll([task({ id: "stuck" }), task({ id: "behind" })])
      link.full.add("stuck")
      yield* mend
      assert.strictEqual(edge.mode(), "full")
      assert.strictEqual(yield* stateOf(fleet, "behind"), "queued")
      assert.strictEqual(yield* stateOf(ledger, "stuck"), "queued")
      assert.deepStrictEqual(edge.waiting(), { reports: 0, tasks: 1 })
      link.full.clear()
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* stateOf(fleet, "stuck"), "queued")
      assert.deepStrictEqual(edge.waiting(), { reports: 0, tasks: 0 })
    })
  )
})
