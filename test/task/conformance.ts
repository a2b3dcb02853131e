/** What every home of the ledger must do, word for word the same. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, type Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { AgentId, TaskId } from "../../src/domain/Ids.ts"
import { noUsage } from "../../src/domain/Task.ts"
import type { Published } from "../../src/event/Event.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { INTERRUPTIONS } from "../../src/task/RetrySettings.ts"
import type { LedgerUnusable, TaskEnded } from "../../src/task/TaskError.ts"
import { type Refused, TaskLedger } from "../../src/task/TaskLedger.ts"
import { MAX_WORDS, tries } from "../../src/task/TaskRecord.ts"
import type { TaskSpec } from "../../src/task/TaskSpec.ts"
import { task } from "../utils/Specs.ts"
import { onWall } from "../utils/Wall.ts"
import { done, failed, fault } from "./Homes.ts"

const ids = (records: ReadonlyArray<{ readonly id: string }>) => records.map(({ id }) => id)
const DAY = 86_400_000
const parking = (until: number) => ({ until, fault, usage: { ...noUsage, turns: 1 } })

type Edge = string | { readonly task: string; readonly onFailure?: "cancel" | "run" }
const upon = (...edges: ReadonlyArray<Edge>) =>
  edges.map((edge) => (typeof edge === "string" ? TaskId.make(edge) : { ...edge, task: TaskId.make(edge.task) }))

const perform = Effect.fnUntraced(function* (id: string) {
  const ledger = yield* TaskLedger
  const { attempt } = yield* ledger.claim(id, "a")
  yield* ledger.complete(id, attempt, done(id))
})

export const conformance = (name: string, home: Layer.Layer<TaskLedger | EventBus, LedgerUnusable>) => {
  const test = <E>(what: string, body: Effect.Effect<unknown, E, TaskLedger | EventBus>) =>
    it.effect(what, () => Effect.provide(body, home))

  describe(`the ledger, ${name}`, () => {
    test(
      "takes a task once: the same id with the same content is answered with the first",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const first = yield* ledger.submit(task({ id: "t" }))
        yield* ledger.claim("t", "a")
        const again = yield* ledger.submit(task({ id: "t" }))
        assert.strictEqual(again.submittedAt, first.submittedAt)
        assert.strictEqual(again.state, "running")
        for (const other of [
          { prompt: "something else" },
          { type: "other" },
          { agent: "b" },
          { capabilities: ["rust"] }
        ]) {
          const error = yield* Effect.flip(ledger.submit(task({ id: "t", ...other })))
          assert.strictEqual(error._tag, "TaskConflict")
        }
        const schema = yield* Effect.flip(ledger.submit({ ...task({ id: "t" }), schema: { type: "object" } }))
        assert.strictEqual(schema._tag, "TaskConflict")
        for (const other of [{ evidence: [{ git: "clean" as const }] }, { budget: { turns: 1 } }, { files: ["/a"] }]) {
          const error = yield* Effect.flip(ledger.submit({ ...task({ id: "t" }), ...other }))
          assert.strictEqual(error._tag, "TaskConflict", JSON.stringify(other))
        }
        const whole = {
          ...task({ id: "w", prefer: "b" }),
          files: ["/a/b", { path: "/c", name: "d" }],
          evidence: [{ git: "clean" as const }],
          budget: { turns: 1, tokens: 2, costUsd: 0.5 }
        }
        yield* ledger.submit(whole)
        // The same, said otherwise; and what is no content.
        const more = { priority: 3, notBefore: "1 hour", after: upon("t"), labels: { a: "b" } }
        yield* ledger.submit({
          ...whole,
          ...more,
          files: [
            { path: "/a/b", name: "b" },
            { path: "/c", name: "d" }
          ],
          budget: { costUsd: 0.5, tokens: 2, turns: 1 }
        })
        assert.deepEqual((yield* ledger.get("w")).spec, whole)
        yield* ledger.submit({ ...task({ id: "t" }), evidence: [], files: [] })
      })
    )

    test(
      "has a lane for each set of requirements, whatever their order, and keeps them and the label",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const given = { capabilities: ["rust", "gpu", "rust"], label: "issue 7" }
        yield* ledger.submitAll([
          task({ id: "both", ...given }),
          task({ id: "both-too", capabilities: ["gpu", "rust"] }),
          task({ id: "rust", capabilities: ["rust"] }),
          task({ id: "none" }),
          task({ id: "none-too", capabilities: [] }),
          task({ id: "high", capabilities: ["rust"], priority: 1 }),
          task({ id: "comma", capabilities: ["gpu,rust"] })
        ])
        assert.sameMembers(ids(yield* ledger.heads()), ["both", "high", "none", "comma"])
        assert.deepEqual(
          (yield* ledger.get("both")).spec,
          task({ id: "both", ...given, capabilities: ["gpu", "rust"] })
        )
        assert.notProperty((yield* ledger.get("none-too")).spec, "capabilities")
        assert.strictEqual((yield* ledger.submit(task({ id: "both", capabilities: ["gpu", "rust"] }))).id, "both")
        for (const id of ["both", "high"]) yield* ledger.claim(id, "a")
        assert.sameMembers(ids(yield* ledger.heads()), ["both-too", "rust", "none", "comma"])
      })
    )

    test(
      "keeps what was submitted, whatever letters and however long it is",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const prompt = `Grüße, 世界, 🙂, \u0000, 'quotes", \r\n ${"long ".repeat(200_000)}`
        const schema = { type: "object", properties: { n: { type: "integer" } } }
        const given = { ...task({ id: "t", prompt: `${prompt}\uD83D`, agent: "b", type: "code" }), schema }
        yield* ledger.submit(given)
        yield* ledger.submit(given)
        assert.deepEqual((yield* ledger.get("t")).spec, { ...given, prompt: `${prompt}\uFFFD` })
        assert.notProperty((yield* ledger.submit(task({ id: "u" }))).spec, "agent")
        assert.strictEqual((yield* ledger.get("u")).spec.schema, undefined)
      })
    )

    test(
      "keeps labels and finds tasks by all that are named",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const given = { ...task({ id: "a" }), labels: { team: "web", "it's": "100%", stage: "1" } }
        yield* ledger.submitAll([
          given,
          { ...task({ id: "b" }), labels: { team: "web" } },
          { ...task({ id: "c" }), labels: { team: "db" } },
          task({ id: "d" })
        ])
        assert.deepEqual((yield* ledger.get("a")).spec, given)
        const found = (labels: Readonly<Record<string, string>>) => Effect.map(ledger.list({ labels }), ids)
        assert.deepEqual(yield* found({ team: "web" }), ["b", "a"])
        assert.deepEqual(yield* found({ stage: "1", team: "web" }), ["a"])
        assert.deepEqual(yield* found({ "it's": "100%" }), ["a"])
        assert.deepEqual(yield* found({ team: "we" }), [])
        assert.deepEqual(yield* found({ web: "team" }), [])
        assert.deepEqual(yield* found({ toString: "web" }), [])
        assert.deepEqual(yield* found({}), ["d", "c", "b", "a"])
        assert.deepEqual(ids(yield* ledger.list({ labels: { team: "web" }, limit: 1 })), ["b"])
      })
    )

    test(
      "tells of the trace that a task belongs to, in its moves and in its result",
      Effect.gen(function* () {
        const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        const ledger = yield* TaskLedger
        const events = yield* (yield* EventBus).subscribe
        yield* ledger.submitAll([
          { ...task({ id: "t" }), traceparent },
          { ...task({ id: "c" }), traceparent }
        ])
        yield* perform("t")
        yield* ledger.cancel("c", "no")
        yield* ledger.submit(task({ id: "u" }))
        yield* perform("u")
        assert.strictEqual((yield* ledger.result("t")).traceparent, traceparent)
        assert.strictEqual((yield* ledger.get("c")).result?.traceparent, traceparent)
        assert.notProperty(yield* ledger.result("u"), "traceparent")
        const told = yield* Stream.runCollect(Stream.take(events, 8))
        for (const event of told) {
          if (event.type !== "task.state") continue
          assert.strictEqual(
            event.traceparent,
            event.task === "u" ? undefined : traceparent,
            `${event.task} ${event.to}`
          )
        }
        assert.strictEqual(told.length, 8)
      }).pipe(Effect.scoped)
    )

    test(
      "gives a task without an id one of its own",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const [a, b] = yield* Effect.all([ledger.submit(task()), ledger.submit(task())])
        assert.notStrictEqual(a.id, b.id)
      })
    )

    test(
      "accepts all of several or none, and names every one that stands in the way",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submitAll([task({ id: "a" }), task({ id: "b" })])
        const error = yield* Effect.flip(
          ledger.submitAll([
            task({ id: "c" }),
            task({ id: "a", prompt: "x" }),
            task({ id: "b" }),
            task({ id: "d" }),
            task({ id: "d", prompt: "y" })
          ])
        )
        assert.deepInclude(error, { _tag: "TaskConflict", task: "a", others: ["d"] })
        assert.include(error.message, '"a", "d"')
        assert.deepStrictEqual(ids(yield* ledger.list()), ["b", "a"])
        const twice = yield* ledger.submitAll([task({ id: "e" }), task({ id: "e" }), task({ id: "a" })])
        assert.deepStrictEqual(ids(twice), ["e", "e", "a"])
        assert.deepStrictEqual(ids(yield* ledger.list()), ["e", "b", "a"])
      })
    )

    test(
      "refuses what a superseded attempt reports",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submit(task({ id: "t" }))
        assert.strictEqual((yield* Effect.flip(ledger.complete("t", 0, done("t"))))._tag, "AttemptSuperseded")
        yield* ledger.claim("t", "a")
        yield* ledger.park("t", 1, parking(0))
        yield* ledger.claim("t", "b")
        for (const late of [
          ledger.complete("t", 1, done("t")),
          ledger.park("t", 1, parking(0)),
          ledger.park("t", 1, parking(1_000)),
          ledger.renew("t", 1, 1_000)
        ]) {
          assert.deepInclude(yield* Effect.flip(late), { _tag: "AttemptSuperseded", attempt: 1, current: 2 })
        }
        yield* ledger.complete("t", 2, done("t", { text: "second" }))
        const twice = yield* Effect.flip(ledger.complete("t", 2, done("t")))
        assert.strictEqual(twice._tag, "AttemptSuperseded")
        assert.strictEqual((yield* ledger.result("t")).text, "second")
      })
    )

    test(
      "queues a parked task again when it is due, not before, also one that is due earlier than those before",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        for (const id of ["late", "soon"]) {
          yield* ledger.submit(task({ id, type: id }))
          yield* ledger.claim(id, "a")
        }
        yield* ledger.park("late", 1, parking(100_000))
        yield* ledger.park("soon", 1, parking(1_000))
        assert.strictEqual((yield* ledger.get("soon")).dueAt, 1_000)
        yield* TestClock.adjust(999)
        assert.deepStrictEqual(yield* ledger.heads(), [])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["soon"])
        yield* TestClock.adjust(98_999)
        assert.strictEqual((yield* ledger.get("late")).state, "parked")
        yield* TestClock.adjust(1)
        assert.deepInclude(yield* ledger.get("late"), { state: "queued", attempt: 1, dueAt: undefined })
      })
    )

    it.effect("where the clock is set back a day, keeps a pause as long as it was to be, and a date where it is", () =>
      Effect.gen(function* () {
        const { clock, wall } = yield* onWall
        wall.off = DAY
        yield* Effect.gen(function* () {
          const ledger = yield* TaskLedger
          yield* ledger.submitAll([
            task({ id: "paused" }),
            { ...task({ id: "dated" }), notBefore: new Date(2 * DAY).toISOString() }
          ])
          yield* ledger.claim("paused", "a")
          yield* ledger.park("paused", 1, parking(DAY + 5_000))
          wall.off = 0
          // The clock is looked at once a minute.
          yield* TestClock.adjust("1 minute")
          yield* TestClock.adjust("5 seconds")
          assert.strictEqual((yield* ledger.get("paused")).state, "queued")
          assert.deepInclude(yield* ledger.get("dated"), { state: "parked", dueAt: 2 * DAY })
        }).pipe(Effect.provide(home), Effect.provideService(Clock.Clock, clock))
      })
    )

    test(
      "lets a task wait for a person, and go on once when one has answered, without a try used up",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submitAll([task({ id: "asks" }), task({ id: "gone" }), task({ id: "new" })])
        for (const id of ["asks", "gone"]) {
          yield* ledger.claim(id, "a")
          yield* ledger.awaitPerson(id, 1, { ...parking(0), words: "May I?" })
        }
        assert.deepInclude(yield* ledger.get("asks"), { state: "waiting", lastFault: fault })
        assert.deepStrictEqual(ids(yield* ledger.list({ states: ["waiting"] })), ["gone", "asks"])
        assert.deepInclude((yield* ledger.history("asks"))[0], { ended: "waiting", words: "May I?" })
        // However long it takes, and whoever comes and goes meanwhile.
        yield* TestClock.adjust("7 days")
        assert.deepStrictEqual(yield* ledger.recover, [])
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["new"])
        for (const late of [ledger.complete("asks", 1, done("asks")), ledger.park("asks", 1, parking(0))])
          assert.strictEqual((yield* Effect.flip(late))._tag, "AttemptSuperseded")
        assert.deepInclude(yield* ledger.answered("asks"), { state: "queued", attempt: 1 })
        assert.strictEqual((yield* Effect.flip(ledger.answered("asks")))._tag, "TaskNotWaiting")
        assert.strictEqual((yield* Effect.flip(ledger.answered("new")))._tag, "TaskNotWaiting")
        assert.strictEqual((yield* Effect.flip(ledger.answered("none")))._tag, "TaskUnknown")
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["asks"])
        assert.strictEqual(tries(yield* ledger.claim("asks", "a")), 1)
        assert.strictEqual((yield* ledger.cancel("gone", "nobody answers")).state, "cancelled")
      })
    )

    test(
      "claims a task for one agent only",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submit(task({ id: "t" }))
        yield* ledger.claim("t", "a")
        const second = yield* Effect.flip(ledger.claim("t", "b"))
        assert.strictEqual(second._tag, "AttemptSuperseded")
        assert.strictEqual((yield* ledger.get("t")).agent, "a")
      })
    )

    test(
      "answers everyone who waits for a result, also later",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submit(task({ id: "t" }))
        const waiting = yield* Effect.forkChild(ledger.result("t"), { startImmediately: true })
        yield* ledger.claim("t", "a")
        const result = done("t", { output: { n: [1, "zwei"] }, denied: ["Bash"], session: "s", text: "x\u0000y" })
        yield* ledger.complete("t", 1, result)
        assert.deepEqual(yield* Fiber.join(waiting), result)
        assert.deepEqual(yield* ledger.result("t"), result)
        assert.strictEqual((yield* Effect.flip(ledger.result("other")))._tag, "TaskUnknown")
      })
    )

    test(
      "knows no task that was never submitted",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const asks: ReadonlyArray<Effect.Effect<unknown, Refused | TaskEnded>> = [
          ledger.get("t"),
          ledger.history("t"),
          ledger.claim("t", "a"),
          ledger.complete("t", 1, done("t")),
          ledger.park("t", 1, parking(0)),
          ledger.renew("t", 1, 1),
          ledger.cancel("t", "why")
        ]
        for (const asked of asks) {
          assert.strictEqual((yield* Effect.flip(asked))._tag, "TaskUnknown")
        }
      })
    )

    test(
      "cancels what has not ended, tells who waits and who is at it, and refuses what they report",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submitAll(["queued", "running", "parked", "done"].map((id) => task({ id, type: id })))
        for (const id of ["running", "parked", "done"]) yield* ledger.claim(id, "a")
        yield* ledger.park("parked", 1, parking(1_000))
        yield* ledger.complete("done", 1, done("done"))
        const released = yield* Effect.forkChild(ledger.released("running", 1), { startImmediately: true })
        const result = yield* Effect.forkChild(ledger.result("queued"), { startImmediately: true })
        for (const id of ["queued", "running", "parked"]) {
          assert.strictEqual((yield* ledger.cancel(id, "changed my mind")).state, "cancelled")
        }
        yield* Fiber.join(released)
        assert.deepInclude(yield* Fiber.join(result), { status: "failed", attempts: 0 })
        const { fault, usage } = yield* ledger.result("parked")
        assert.deepInclude(fault, { kind: "TaskCancelled" })
        assert.include(fault?.message, "changed my mind")
        assert.strictEqual(usage.turns, 1)
        assert.strictEqual((yield* Effect.flip(ledger.complete("running", 1, done("t"))))._tag, "AttemptSuperseded")
        for (const id of ["done", "queued"]) {
          assert.strictEqual((yield* Effect.flip(ledger.cancel(id, "")))._tag, "TaskEnded")
        }
        yield* TestClock.adjust(2_000)
        assert.strictEqual((yield* ledger.get("parked")).state, "cancelled")
        assert.deepStrictEqual(yield* ledger.heads(), [])
        assert.strictEqual((yield* ledger.get("done")).state, "succeeded")
      })
    )

    test(
      "lets an attempt hold a task until it ends, and completes at once for one that does not hold it",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submit(task({ id: "t" }))
        yield* ledger.released("t", 1)
        yield* ledger.claim("t", "a")
        const released = yield* Effect.forkChild(ledger.released("t", 1), { startImmediately: true })
        yield* TestClock.adjust(1_000_000)
        assert.isUndefined(released.pollUnsafe())
        yield* ledger.released("t", 2)
        yield* ledger.park("t", 1, parking(0))
        yield* Fiber.join(released)
      })
    )

    test(
      "takes a task from who is not heard of within its lease, and only then",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submit(task({ id: "t" }))
        assert.strictEqual((yield* ledger.claim("t", "a", 1_000)).leaseUntil, 1_000)
        yield* TestClock.adjust(900)
        yield* ledger.renew("t", 1, 1_000)
        yield* TestClock.adjust(900)
        assert.deepInclude(yield* ledger.get("t"), { state: "running", leaseUntil: 1_900 })
        assert.deepStrictEqual(yield* ledger.recover, [])
        yield* TestClock.adjust(100)
        assert.deepInclude(yield* ledger.get("t"), { state: "queued", attempt: 1, leaseUntil: undefined })
        assert.strictEqual((yield* Effect.flip(ledger.complete("t", 1, done("t"))))._tag, "AttemptSuperseded")
        assert.strictEqual((yield* ledger.history("t"))[0]?.fault?.kind, "LeaseExpired")
        yield* ledger.claim("t", "b", 1_000)
        yield* ledger.complete("t", 2, done("t"))
        yield* TestClock.adjust(10_000)
        assert.strictEqual((yield* ledger.get("t")).state, "succeeded")
      })
    )

    test(
      "recovers what an earlier life had running: queued again, its attempt counted; the rest stays as it is",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submitAll(["new", "running", "parked", "done"].map((id) => task({ id })))
        for (const id of ["running", "parked", "done"]) yield* ledger.claim(id, "a")
        yield* ledger.park("parked", 1, parking(5_000))
        yield* ledger.complete("done", 1, done("done"))
        assert.deepStrictEqual(ids(yield* ledger.recover), ["running"])
        assert.deepInclude(yield* ledger.get("running"), { state: "queued", attempt: 1, agent: "a" })
        assert.strictEqual((yield* ledger.get("running")).lastFault?.kind, "AttemptAbandoned")
        assert.deepInclude(yield* ledger.get("parked"), { state: "parked", dueAt: 5_000 })
        assert.strictEqual((yield* ledger.get("done")).state, "succeeded")
        assert.deepInclude(yield* ledger.get("new"), { state: "queued", attempt: 0 })
        assert.deepStrictEqual(yield* ledger.recover, [])
        assert.strictEqual((yield* ledger.claim("running", "b")).attempt, 2)
      })
    )

    test(
      "tells the story of every attempt",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submit(task({ id: "t" }))
        assert.deepStrictEqual(yield* ledger.history("t"), [])
        yield* TestClock.adjust(10)
        yield* ledger.claim("t", "a")
        yield* TestClock.adjust(10)
        yield* ledger.park("t", 1, parking(50))
        yield* TestClock.adjust(80)
        yield* ledger.claim("t", "b")
        assert.deepInclude((yield* ledger.history("t"))[1], { ended: undefined, endedAt: undefined })
        yield* TestClock.adjust(20)
        yield* ledger.complete("t", 2, done("t"))
        assert.deepEqual(yield* ledger.history("t"), [
          { attempt: 1, agent: "a", begunAt: 10, endedAt: 20, ended: "parked", fault },
          { attempt: 2, agent: "b", begunAt: 100, endedAt: 120, ended: "succeeded", fault: undefined }
        ])
        assert.deepInclude(yield* ledger.get("t"), { submittedAt: 0, startedAt: 10, endedAt: 120, attempt: 2 })
      })
    )

    test(
      "keeps with whose conversation a task goes on, in a lane for each, behind the end of that task",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const on = (id: string, session: TaskSpec["session"], agent?: string) => ({
          ...task({ id, ...(agent === undefined ? {} : { agent }) }),
          ...(session === undefined ? {} : { session })
        })
        const [one, two] = [TaskId.make("one"), TaskId.make("two")]
        yield* ledger.submitAll([
          on("one", undefined),
          on("b", one),
          on("c", { of: one, onMissing: "anew" }, "x"),
          on("d", { of: one }),
          on("two", undefined),
          on("e", two)
        ])
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["one"])
        const failing = yield* ledger.claim("one", "a")
        // However it has ended.
        yield* ledger.complete("one", failing.attempt, failed("one"))
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["two", "b", "c"])
        assert.deepEqual((yield* ledger.get("b")).spec.session, one)
        assert.notProperty((yield* ledger.get("b")).spec, "agent")
        const { agent, session } = (yield* ledger.get("c")).spec
        assert.deepEqual({ agent, session }, { agent: AgentId.make("x"), session: { of: one, onMissing: "anew" } })
        yield* perform("two")
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["b", "c", "e"])
        assert.strictEqual((yield* Effect.flip(ledger.submit(on("b", two))))._tag, "TaskConflict")
        assert.strictEqual((yield* ledger.submit(on("b", { of: one, onMissing: "fail" }))).state, "queued")
        const circle = [on("f", TaskId.make("g")), on("g", TaskId.make("f"))]
        assert.strictEqual((yield* Effect.flip(ledger.submitAll(circle)))._tag, "TaskInvalid")
      })
    )

    test(
      "gives the first of each lane: what was begun before it, then first come; those passed over only if begun",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const to = (id: string, type: string, agent?: string) =>
          task({ id, type, ...(agent === undefined ? {} : { agent }) })
        yield* ledger.submitAll([
          to("a1", "a"),
          to("b1", "b"),
          to("a2", "a"),
          to("b2", "b", "x"),
          to("b3", "b", "y"),
          to("b4", "b")
        ])
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["a1", "b1", "b2", "b3"])
        yield* ledger.claim("b1", "x")
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["a1", "b2", "b3", "b4"])
        yield* ledger.park("b1", 1, parking(0))
        yield* ledger.claim("b4", "x")
        yield* ledger.park("b4", 1, parking(0))
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["b1", "a1", "b2", "b3"])
        assert.deepStrictEqual(ids(yield* ledger.heads(["b1", "a1"])), ["b4", "a1", "b2", "b3"])
        assert.deepStrictEqual(ids(yield* ledger.heads(["b1", "b4"])), ["a1", "b2", "b3"])
        assert.deepStrictEqual(ids(yield* ledger.interrupted(["a1", "b4", "b1", "none"])), ["b1", "b4"])
        yield* ledger.claim("b1", "x")
        assert.deepStrictEqual(ids(yield* ledger.interrupted(["b1", "b4"])), ["b4"])
      })
    )

    test(
      "gives what is higher first, and what has waited longer counts one higher for each 10 minutes",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const submit = (id: string, priority: number) => ledger.submit({ ...task({ id }), priority })
        yield* submit("low", -1)
        yield* submit("high", 2)
        yield* submit("usual", 0)
        yield* submit("equal", 0)
        yield* TestClock.adjust("20 minutes")
        yield* submit("late", 2)
        yield* TestClock.adjust("10 minutes")
        yield* submit("later", 2)
        yield* submit("highest", 10)
        const order: Array<string> = []
        for (let head = (yield* ledger.heads())[0]; head !== undefined; head = (yield* ledger.heads())[0]) {
          order.push(head.id)
          yield* ledger.claim(head.id, "a")
        }
        assert.deepStrictEqual(order, ["highest", "high", "usual", "equal", "late", "low", "later"])
        assert.strictEqual((yield* ledger.get("low")).spec.priority, -1)
        // What was begun goes on first, the higher before the lower.
        yield* ledger.park("low", 1, parking(0))
        yield* ledger.park("high", 1, parking(0))
        yield* submit("new", 10)
        assert.deepStrictEqual(ids(yield* ledger.interrupted(["low", "high"])), ["high", "low"])
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["high"])
        assert.deepStrictEqual(ids(yield* ledger.heads(["high", "low"])), ["new"])
      })
    )

    test(
      "lets no task begin before its time, be it a time or so long from now; it comes into the queue then",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* TestClock.setTime(Date.parse("2030-01-01T00:00:00Z"))
        const now = Date.parse("2030-01-01T00:00:00Z")
        const submit = (id: string, notBefore: string) => ledger.submit({ ...task({ id }), notBefore })
        assert.deepInclude(yield* submit("hour", "1 hour"), { state: "parked", dueAt: now + 3_600_000 })
        assert.deepInclude(yield* submit("time", "2030-01-01T01:30:00+01:00"), {
          state: "parked",
          dueAt: now + 1_800_000
        })
        assert.deepInclude(yield* submit("past", "2029-12-31T23:59:59Z"), { state: "queued", dueAt: undefined })
        assert.strictEqual((yield* submit("ever", "999999999999 days")).state, "parked")
        assert.strictEqual((yield* Effect.flip(ledger.claim("hour", "a")))._tag, "AttemptSuperseded")
        yield* ledger.claim("past", "a")
        yield* TestClock.adjust(1_800_000 - 1)
        assert.deepStrictEqual(yield* ledger.heads(), [])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["time"])
        yield* ledger.cancel("hour", "why")
        yield* TestClock.adjust(600_000)
        // Asked for once more before its time, it waits for the rest of it.
        yield* ledger.submitAll([{ ...task({ id: "hour" }), notBefore: "1 hour" }], { again: true })
        const hour = yield* ledger.get("hour")
        assert.deepInclude(hour, { state: "parked", dueAt: now + 3_600_000, result: undefined })
        assert.strictEqual(hour.spec.notBefore, "1 hour")
        yield* TestClock.adjust(1_200_000)
        assert.deepInclude(yield* ledger.get("hour"), { state: "queued", dueAt: undefined })
      })
    )

    test(
      "lets a task wait until all that it waits for has ended, over however many of them",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const given = [
          { ...task({ id: "last" }), after: upon("left", { task: "right" }) },
          { ...task({ id: "left" }), after: upon("first") },
          { ...task({ id: "right" }), after: upon("first"), notBefore: "1 minute" },
          task({ id: "first" })
        ]
        const states = Effect.map(ledger.list(), (all) => all.map(({ id, state }) => `${id} ${state}`))
        yield* ledger.submitAll(given)
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["first"])
        assert.deepEqual((yield* ledger.get("last")).spec, given[0])
        assert.strictEqual((yield* Effect.flip(ledger.claim("left", "a")))._tag, "AttemptSuperseded")
        yield* perform("first")
        assert.deepInclude(yield* ledger.get("right"), { state: "parked", dueAt: 60_000 })
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["left"])
        yield* perform("left")
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* states, ["first succeeded", "right queued", "left succeeded", "last parked"])
        yield* perform("right")
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["last"])
        // What has ended is not waited for.
        assert.strictEqual((yield* ledger.submit({ ...task({ id: "x" }), after: upon("first") })).state, "queued")
      })
    )

    test(
      "cancels with a task that fails what waits for it, down the chain, unless it is to run all the same",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const given = [
          task({ id: "bad" }),
          { ...task({ id: "child" }), after: upon("bad") },
          { ...task({ id: "grandchild" }), after: upon("child") },
          { ...task({ id: "report" }), after: upon({ task: "bad", onFailure: "run" }) },
          { ...task({ id: "twice" }), after: upon({ task: "bad", onFailure: "run" }, "bad") }
        ]
        yield* ledger.submitAll(given)
        const waiting = yield* Effect.forkChild(ledger.result("grandchild"), { startImmediately: true })
        yield* ledger.claim("bad", "a")
        yield* ledger.complete("bad", 1, failed("bad"))
        const { fault } = yield* Fiber.join(waiting)
        assert.deepInclude(fault, { kind: "DependencyFailed" })
        assert.include(fault?.message, '"child", for which it waited, was cancelled')
        assert.include((yield* ledger.result("child")).fault?.message, '"bad", for which it waited, has failed')
        assert.strictEqual((yield* ledger.get("twice")).state, "cancelled")
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["report"])
        // One that comes later is told the same at once.
        const late = yield* ledger.submit({ ...task({ id: "late" }), after: upon("bad") })
        assert.deepInclude(late, { state: "cancelled", attempt: 0 })
        assert.strictEqual((yield* ledger.result("late")).fault?.kind, "DependencyFailed")
        // Asked for again, all of them wait as before.
        yield* ledger.submitAll(given, { again: true })
        assert.deepStrictEqual(ids(yield* ledger.list({ states: ["parked"] })), ["twice", "grandchild", "child"])
        yield* ledger.claim("bad", "a")
        yield* ledger.complete("bad", 2, done("bad"))
        yield* perform("child")
        assert.strictEqual((yield* ledger.get("grandchild")).state, "queued")
        // A waiting one that is cancelled takes along those behind it.
        yield* ledger.submitAll([
          { ...task({ id: "y" }), after: upon("report") },
          { ...task({ id: "z" }), after: upon("y") }
        ])
        yield* ledger.cancel("y", "why")
        assert.strictEqual((yield* ledger.get("z")).state, "cancelled")
        yield* perform("report")
        assert.strictEqual((yield* ledger.get("y")).state, "cancelled")
      })
    )

    test(
      "refuses what would wait for ever: for itself, in a circle, or for what is not there; then nothing is accepted",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const waits = (id: string, ...on: ReadonlyArray<string>) => ({ ...task({ id }), after: upon(...on) })
        const nowhere = yield* Effect.flip(ledger.submitAll([task({ id: "a" }), waits("b", "a", "c", "d")]))
        assert.deepInclude(nowhere, { _tag: "TaskInvalid", after: ["c", "d"] })
        assert.include(nowhere.message, '"b" waits for what is not there: "c", "d"')
        const itself = yield* Effect.flip(ledger.submit(waits("a", "a")))
        assert.deepInclude(itself, { _tag: "TaskInvalid", after: ["a"] })
        const round = yield* Effect.flip(
          ledger.submitAll([waits("a", "b"), waits("b", "c", "d"), waits("c"), waits("d", "b")])
        )
        assert.deepInclude(round, { _tag: "TaskInvalid", after: ["b", "d"] })
        assert.deepStrictEqual(yield* ledger.list(), [])
      })
    )

    test(
      "takes a chain of 20,000 along when its first fails",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const chain = Array.from({ length: 20_000 }, (_, n) => ({
          ...task({ id: `t${n}` }),
          ...(n === 0 ? {} : { after: upon(`t${n - 1}`) })
        }))
        yield* ledger.submitAll(chain)
        yield* ledger.claim("t0", "a")
        yield* ledger.complete("t0", 1, failed("t0"))
        assert.strictEqual((yield* ledger.get("t19999")).state, "cancelled")
      })
    )

    test(
      "lists by state, type, agent and age, the latest first, so many",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        for (const [id, type] of [
          ["t1", "a"],
          ["t2", "b"],
          ["t3", "a"],
          ["t4", "b"]
        ] as const) {
          yield* ledger.submit(task({ id, type }))
          yield* TestClock.adjust(10)
        }
        yield* ledger.claim("t1", "x")
        yield* ledger.claim("t2", "y")
        yield* ledger.complete("t2", 1, done("t2"))
        const listed = (filter: Parameters<typeof ledger.list>[0]) => Effect.map(ledger.list(filter), ids)
        assert.deepStrictEqual(yield* listed({}), ["t4", "t3", "t2", "t1"])
        assert.deepStrictEqual(yield* listed({ limit: 2 }), ["t4", "t3"])
        assert.deepStrictEqual(yield* listed({ states: ["queued", "succeeded"] }), ["t4", "t3", "t2"])
        assert.deepStrictEqual(yield* listed({ states: [] }), [])
        assert.deepStrictEqual(yield* listed({ type: "a" }), ["t3", "t1"])
        assert.deepStrictEqual(yield* listed({ agent: "x" }), ["t1"])
        assert.deepStrictEqual(yield* listed({ submittedAfter: 0, submittedBefore: 30 }), ["t3", "t2"])
        assert.deepStrictEqual(yield* listed({ type: "a", states: ["running"], agent: "x", limit: 5 }), ["t1"])
      })
    )

    test(
      "does a task that has failed once more where that is asked for, and never one that has succeeded",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submitAll([task({ id: "good" }), task({ id: "bad" })])
        yield* ledger.claim("good", "a")
        yield* ledger.complete("good", 1, done("good"))
        yield* ledger.claim("bad", "a")
        yield* ledger.complete("bad", 1, failed("bad"))
        assert.strictEqual((yield* ledger.submit(task({ id: "bad" }))).state, "failed")
        const [good, bad] = yield* ledger.submitAll([task({ id: "good" }), task({ id: "bad" })], { again: true })
        assert.strictEqual(good?.state, "succeeded")
        assert.deepInclude(bad, { state: "queued", attempt: 1, before: 1, result: undefined, endedAt: undefined })
        const waiting = yield* Effect.forkChild(ledger.result("bad"), { startImmediately: true })
        assert.strictEqual((yield* ledger.claim("bad", "b")).attempt, 2)
        assert.strictEqual((yield* Effect.flip(ledger.complete("bad", 1, done("bad"))))._tag, "AttemptSuperseded")
        yield* ledger.complete("bad", 2, done("bad", { text: "at last" }))
        assert.strictEqual((yield* Fiber.join(waiting)).text, "at last")
        assert.lengthOf(yield* ledger.history("bad"), 2)
      })
    )

    test(
      "counts what breaks an attempt off apart from its tries, however often it was begun",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submitAll([task({ id: "t" }), task({ id: "other" })])
        yield* ledger.claim("t", "a")
        yield* ledger.recover
        yield* ledger.claim("t", "a", 1_000)
        yield* TestClock.adjust(1_000)
        yield* ledger.claim("t", "a")
        yield* ledger.park("t", 3, { ...parking(0), interrupted: true })
        assert.deepInclude(yield* ledger.get("t"), { state: "queued", attempt: 3, before: 0, interruptions: 3 })
        // It was begun, and goes on first.
        assert.deepStrictEqual(ids(yield* ledger.heads()), ["t"])
        assert.deepStrictEqual(ids(yield* ledger.interrupted(["t", "other"])), ["t"])
        yield* ledger.claim("t", "a")
        yield* ledger.park("t", 4, parking(0))
        const record = yield* ledger.get("t")
        assert.strictEqual(record.interruptions, 3)
        assert.strictEqual(tries(record), 1)
      })
    )

    test(
      "gives up what is broken off too often: dead, with its story, and never before",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submitAll([task({ id: "t" }), { ...task({ id: "after" }), after: upon("t") }])
        const waiting = yield* Effect.forkChild(ledger.result("t"), { startImmediately: true })
        for (let n = 1; n <= INTERRUPTIONS; n++) {
          yield* ledger.claim("t", "a")
          assert.deepStrictEqual(
            (yield* ledger.recover).map(({ state }) => state),
            ["queued"]
          )
        }
        yield* ledger.claim("t", "a")
        assert.deepStrictEqual(
          (yield* ledger.recover).map(({ state }) => state),
          ["dead"]
        )
        const { attempts, fault, status } = yield* Fiber.join(waiting)
        assert.deepInclude({ attempts, status }, { attempts: INTERRUPTIONS + 1, status: "failed" })
        assert.strictEqual(fault?.kind, "BrokenOffTooOften")
        assert.include(fault?.message, `${INTERRUPTIONS + 1} times`)
        const history = yield* ledger.history("t")
        assert.strictEqual(history.at(-1)?.ended, "dead")
        assert.strictEqual(history.at(-1)?.fault?.kind, "AttemptAbandoned")
        assert.strictEqual((yield* ledger.get("after")).state, "cancelled")
        assert.include((yield* ledger.result("after")).fault?.message, "was given up")
        // Asked for once more, it has all of its interruptions again.
        yield* ledger.submitAll([task({ id: "t" })], { again: true })
        assert.deepInclude(yield* ledger.get("t"), { state: "queued", interruptions: 0 })
      })
    )

    test(
      "keeps the whole story of what was given up, gives it a new life where that is asked for, and drops it else",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const long = `${"x".repeat(MAX_WORDS)}the end`
        const missing = [{ proof: "git clean", found: "2 files" }]
        yield* ledger.submitAll([task({ id: "t" }), { ...task({ id: "after" }), after: upon("t") }, task({ id: "u" })])
        for (const refused of [ledger.replay("t"), ledger.drop("t")])
          assert.deepInclude(yield* Effect.flip(refused), { _tag: "TaskNotDead", state: "queued" })
        for (const refused of [ledger.replay("none"), ledger.drop("none")])
          assert.strictEqual((yield* Effect.flip(refused))._tag, "TaskUnknown")
        yield* ledger.claim("t", "a")
        yield* ledger.park("t", 1, { ...parking(0), words: long, missing })
        yield* ledger.claim("t", "b")
        const waiting = yield* Effect.forkChild(ledger.result("t"), { startImmediately: true })
        yield* ledger.giveUp("t", 2, failed("t"), { words: "half \uD83D", missing: [] })
        assert.strictEqual((yield* Effect.flip(ledger.giveUp("t", 2, failed("t"))))._tag, "AttemptSuperseded")
        assert.strictEqual((yield* Fiber.join(waiting)).status, "failed")
        assert.deepStrictEqual(ids(yield* ledger.list({ states: ["dead"] })), ["t"])
        assert.strictEqual((yield* ledger.get("after")).state, "cancelled")
        assert.strictEqual((yield* Effect.flip(ledger.cancel("t", "why")))._tag, "TaskEnded")
        const [first, second] = yield* ledger.history("t")
        assert.deepInclude(first, { ended: "queued", missing })
        assert.strictEqual(first?.words, long.slice(-MAX_WORDS))
        assert.deepInclude(second, { ended: "dead", words: "half \uFFFD" })
        assert.notProperty(second, "missing")
        assert.deepInclude(yield* ledger.replay("t"), { state: "queued", attempt: 2, before: 2, result: undefined })
        assert.strictEqual((yield* ledger.claim("t", "a")).attempt, 3)
        yield* ledger.giveUp("t", 3, failed("t"))
        assert.lengthOf(yield* ledger.history("t"), 3)
        const dropped = yield* ledger.drop("t")
        assert.strictEqual(dropped.state, "cancelled")
        // How it had ended stays known.
        assert.deepEqual(yield* ledger.result("t"), failed("t"))
        assert.strictEqual((yield* Effect.flip(ledger.drop("t")))._tag, "TaskNotDead")
        assert.deepStrictEqual(yield* ledger.list({ states: ["dead"] }), [])
        yield* ledger.submitAll([task({ id: "t" })], { again: true })
        assert.deepInclude(yield* ledger.get("t"), { state: "queued", result: undefined })
      })
    )

    test(
      "ends what is not begun in its time, counted from when it could have begun, and only before it was begun",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const timeouts = { queue: "10 seconds" }
        const given = { ...task({ id: "t" }), timeouts, notBefore: "1 minute" }
        yield* ledger.submitAll([
          given,
          { ...task({ id: "begun" }), timeouts },
          { ...task({ id: "x" }), after: upon("t") }
        ])
        assert.deepEqual((yield* ledger.get("t")).spec, given)
        yield* ledger.claim("begun", "a")
        yield* ledger.park("begun", 1, parking(0))
        yield* TestClock.adjust("69 seconds")
        assert.deepInclude(yield* ledger.get("t"), { state: "queued", beginBy: 70_000 })
        assert.strictEqual((yield* ledger.get("begun")).state, "queued")
        yield* TestClock.adjust("1 second")
        const { attempts, fault, status } = yield* ledger.result("t")
        assert.deepInclude(
          { attempts, kind: fault?.kind, status },
          { attempts: 0, kind: "NotBegunInTime", status: "failed" }
        )
        assert.include(fault?.message, "within 10 seconds")
        assert.deepInclude(yield* ledger.get("t"), { state: "failed", endedAt: 70_000, beginBy: undefined })
        assert.strictEqual((yield* ledger.get("x")).state, "cancelled")
        // Another life has all of its time again, less what it has waited for already.
        yield* ledger.submitAll([given], { again: true })
        assert.deepInclude(yield* ledger.get("t"), { state: "queued", beginBy: 80_000 })
        yield* ledger.claim("t", "a")
        yield* TestClock.adjust("1 hour")
        assert.strictEqual((yield* ledger.get("t")).state, "running")
      })
    )

    test(
      "ends what is not over in its time, whatever it does or waits for, and supersedes who is at it",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const whole = (id: string) => ({ ...task({ id, type: id }), timeouts: { whole: "1 minute" } })
        yield* ledger.submitAll([
          task({ id: "never" }),
          whole("running"),
          whole("queued"),
          whole("paused"),
          { ...whole("waiting"), after: upon("never") },
          { ...whole("behind"), after: upon("waiting") },
          whole("done")
        ])
        for (const id of ["running", "paused", "done"])
          yield* ledger.claim(id, "a", id === "running" ? 3_600_000 : undefined)
        yield* ledger.park("paused", 1, parking(1_000_000))
        yield* ledger.complete("done", 1, done("done"))
        const released = yield* Effect.forkChild(ledger.released("running", 1), { startImmediately: true })
        yield* TestClock.adjust("59 seconds")
        assert.deepStrictEqual(yield* ledger.list({ states: ["failed"] }), [])
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(released)
        const states = (yield* ledger.list()).map(({ id, state }) => `${id} ${state}`)
        assert.deepStrictEqual(states, [
          "done succeeded",
          "behind cancelled",
          "waiting failed",
          "paused failed",
          "queued failed",
          "running failed",
          "never queued"
        ])
        assert.strictEqual((yield* ledger.result("running")).fault?.kind, "TaskOverdue")
        const late = yield* Effect.flip(ledger.complete("running", 1, done("running")))
        assert.strictEqual(late._tag, "AttemptSuperseded")
        assert.deepInclude((yield* ledger.history("running"))[0], { ended: "failed", endedAt: 60_000 })
        yield* ledger.submitAll([whole("running")], { again: true })
        assert.strictEqual((yield* ledger.get("running")).endBy, 120_000)
      })
    )

    const nightly = { ...task({ id: "nightly" }), schedule: "0 3 * * *" }
    const day = 86_400_000
    const three = 3 * 3_600_000
    const occurrence = (n: number) => `nightly@1970010${n + 1}T030000Z`
    const states = Effect.gen(function* () {
      const ledger = yield* TaskLedger
      return (yield* ledger.list()).map(({ id, state }) => `${id} ${state}`)
    })

    test(
      "does a scheduled task at its time, and accepts the next occurrence as it ends, however it ends",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submit({ ...nightly, notBefore: "1 hour", timeouts: { whole: "2 hours" } })
        assert.deepInclude(yield* ledger.get("nightly"), {
          state: "parked",
          dueAt: three,
          endBy: three + 7_200_000,
          series: "nightly",
          occursAt: three
        })
        yield* TestClock.adjust(three)
        assert.deepStrictEqual(yield* states, ["nightly queued"])
        yield* perform("nightly")
        assert.deepStrictEqual(yield* states, [`${occurrence(1)} parked`, "nightly succeeded"])
        assert.deepInclude(yield* ledger.get(occurrence(1)), { dueAt: day + three, series: "nightly", attempt: 0 })
        assert.deepEqual((yield* ledger.get(occurrence(1))).spec, {
          ...nightly,
          timeouts: { whole: "2 hours" },
          id: TaskId.make(occurrence(1))
        })
        // Given up, failed, out of its time: the series goes on.
        yield* TestClock.adjust(day)
        yield* ledger.claim(occurrence(1), "a")
        yield* ledger.giveUp(occurrence(1), 1, failed(occurrence(1)))
        yield* TestClock.adjust(day)
        yield* ledger.claim(occurrence(2), "a")
        yield* ledger.complete(occurrence(2), 1, failed(occurrence(2)))
        yield* TestClock.adjust(day + 7_200_000)
        assert.deepStrictEqual(yield* states, [
          `${occurrence(4)} parked`,
          `${occurrence(3)} failed`,
          `${occurrence(2)} failed`,
          `${occurrence(1)} dead`,
          "nightly succeeded"
        ])
      })
    )

    test(
      "never lets two occurrences meet, and makes up for missed times once at most",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submit(nightly)
        yield* TestClock.adjust(three)
        yield* ledger.claim("nightly", "a")
        yield* TestClock.adjust(2.5 * day)
        assert.deepStrictEqual(yield* states, ["nightly running"])
        yield* ledger.complete("nightly", 1, done("nightly"))
        assert.deepStrictEqual(yield* states, [`${occurrence(3)} parked`, "nightly succeeded"])
        // It waits for somebody for days: one is due, and no more.
        yield* TestClock.adjust(3 * day)
        assert.deepStrictEqual(yield* states, [`${occurrence(3)} queued`, "nightly succeeded"])
        yield* perform(occurrence(3))
        assert.deepStrictEqual((yield* states)[0], `${occurrence(6)} parked`)
      })
    )

    test(
      "ends a series with the cancellation of any open occurrence, and takes it up again where that is asked for",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submit(nightly)
        yield* TestClock.adjust(three)
        yield* ledger.claim("nightly", "a")
        yield* ledger.giveUp("nightly", 1, failed("nightly"))
        // A series that goes on is not begun twice, whether its first is still known or not.
        assert.strictEqual((yield* ledger.submitAll([nightly], { again: true }))[0]?.state, "dead")
        yield* ledger.replay("nightly")
        yield* ledger.cancel(occurrence(1), "why")
        assert.deepStrictEqual(yield* states, [`${occurrence(1)} cancelled`, "nightly cancelled"])
        yield* TestClock.adjust(day)
        assert.lengthOf(yield* ledger.list(), 2)
        yield* ledger.submitAll([nightly], { again: true })
        yield* perform("nightly")
        assert.deepStrictEqual((yield* states)[0], `${occurrence(2)} parked`)
        const conflict = yield* Effect.flip(ledger.submit({ ...nightly, schedule: "0 4 * * *" }))
        assert.strictEqual(conflict._tag, "TaskConflict")
      })
    )

    test(
      "replays an occurrence beside its series, which goes on once",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submit(nightly)
        yield* TestClock.adjust(three)
        yield* ledger.claim("nightly", "a")
        yield* ledger.giveUp("nightly", 1, failed("nightly"))
        yield* ledger.replay("nightly")
        yield* perform("nightly")
        assert.deepStrictEqual(yield* states, [`${occurrence(1)} parked`, "nightly succeeded"])
      })
    )

    test(
      "waits with the first occurrence only for other tasks, and goes on where they have cancelled it",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        yield* ledger.submitAll([task({ id: "build" }), { ...nightly, after: upon("build") }])
        yield* TestClock.adjust(day)
        assert.strictEqual((yield* ledger.get("nightly")).state, "parked")
        yield* ledger.claim("build", "a")
        yield* ledger.complete("build", 1, failed("build"))
        assert.strictEqual((yield* ledger.get("nightly")).state, "cancelled")
        assert.deepInclude(yield* ledger.get(occurrence(1)), { state: "parked", dueAt: day + three })
        const late = { ...nightly, id: TaskId.make("late"), schedule: { cron: "30 1 * * *", timeZone: "+01:00" } }
        assert.strictEqual((yield* ledger.submit(late)).dueAt, day + 30 * 60_000)
        const never = yield* Effect.flip(
          ledger.submit({ ...nightly, id: TaskId.make("never"), notBefore: "9999999999 days" })
        )
        assert.strictEqual(never._tag, "TaskInvalid")
      })
    )

    test(
      "loses no date and rings no oftener than it must where the clock is set, by a day, either way",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const now = 10 * day
        yield* TestClock.setTime(now)
        yield* ledger.submitAll([
          { ...task({ id: "soon" }), notBefore: "1 hour" },
          { ...task({ id: "overdue" }), timeouts: { whole: "2 hours" } }
        ])
        yield* TestClock.adjust(1)
        // Back: the date is the date.
        yield* TestClock.setTime(now - day)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual((yield* ledger.get("soon")).state, "parked")
        yield* ledger.submit({ ...task({ id: "between" }), notBefore: "1 minute" })
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* ledger.get("between")).state, "queued")
        yield* TestClock.adjust(day)
        assert.strictEqual((yield* ledger.get("soon")).state, "queued")
        yield* ledger.submit({ ...task({ id: "later" }), notBefore: "23 hours" })
        yield* TestClock.setTime(now + 2 * day)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* ledger.get("later")).state, "queued")
        assert.strictEqual((yield* ledger.get("overdue")).state, "failed")
      })
    )

    test(
      "reports every move once, in order, and says that something has changed",
      Effect.gen(function* () {
        const ledger = yield* TaskLedger
        const seen: Array<string> = []
        const events = yield* (yield* EventBus).subscribe
        const note = (event: Published) =>
          Effect.sync(() => {
            if (event.type !== "task.state") return
            seen.push(
              `${event.task} ${event.from ?? "-"} ${event.to} ${event.attempt} ${event.reason?.kind ?? ""}`.trim()
            )
          })
        const changes = yield* ledger.changes
        const changed = yield* Effect.forkChild(Stream.runHead(changes), { startImmediately: true })
        const all = yield* Effect.forkChild(Stream.runForEach(Stream.take(events, 8), note), { startImmediately: true })
        yield* ledger.submit(task({ id: "t" }))
        yield* Fiber.join(changed)
        yield* ledger.submit(task({ id: "t" }))
        yield* ledger.claim("t", "a")
        yield* Effect.ignore(ledger.claim("t", "b"))
        yield* ledger.park("t", 1, parking(10))
        yield* TestClock.adjust(10)
        yield* ledger.claim("t", "a")
        yield* ledger.recover
        yield* ledger.claim("t", "a")
        yield* ledger.complete("t", 3, done("t"))
        yield* Fiber.join(all)
        assert.deepStrictEqual(seen, [
          "t - queued 0",
          "t queued running 1",
          "t running parked 1 RateLimited",
          "t parked queued 1",
          "t queued running 2 RateLimited",
          "t running queued 2 AttemptAbandoned",
          "t queued running 3 AttemptAbandoned",
          "t running succeeded 3"
        ])
      }).pipe(Effect.scoped)
    )
  })
}
