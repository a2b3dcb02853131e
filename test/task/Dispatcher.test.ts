import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Deferred, Duration, Effect, Layer, PubSub, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { Agent, Attempt, Work } from "../../src/agent/Agent.ts"
import { AgentPool } from "../../src/agent/AgentPool.ts"
import { Workspaces } from "../../src/agent/Workspace.ts"
import { Interrupted, Overloaded, RequestRejected } from "../../src/claude/ClaudeFailure.ts"
import type { AgentState } from "../../src/domain/AgentState.ts"
import { noUsage } from "../../src/domain/Task.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { ProcessTree } from "../../src/process/ProcessTree.ts"
import * as Dispatcher from "../../src/task/Dispatcher.ts"
import type { Handing, Slot } from "../../src/task/Handing.ts"
import { Inputs } from "../../src/task/Inputs.ts"
import * as Placement from "../../src/task/Placement.ts"
import { Routing } from "../../src/task/Routing.ts"
import { LedgerUnusable } from "../../src/task/TaskError.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import { retry, task } from "../utils/Specs.ts"
import { memory } from "./Homes.ts"

/** An agent without a CLI: performs what the test says, and can be told to be busy or gone. */
interface Puppet {
  readonly id: string
  readonly taskTypes: ReadonlyArray<string>
  readonly capabilities: ReadonlyArray<string>
  state: AgentState
  gone: boolean
  readonly performed: Array<Work>
  perform: (work: Work) => Effect.Effect<Attempt>
}

const answered = (text: string): Attempt => ({
  outcome: Result.succeed({ text, output: undefined, denied: [] }) as unknown as Attempt["outcome"],
  usage: noUsage,
  session: "s"
})

const puppet = (
  id: string,
  taskTypes: ReadonlyArray<string> = [],
  capabilities: ReadonlyArray<string> = []
): Puppet => ({
  id,
  taskTypes,
  capabilities,
  state: "idle",
  gone: false,
  performed: [],
  perform: ({ task }) => Effect.succeed(answered(`${id} did ${task}`))
})

const poolOf = (puppets: ReadonlyArray<Puppet>) =>
  Layer.effect(
    AgentPool,
    Effect.gen(function* () {
      const changed = yield* PubSub.sliding<void>(1)
      const agents = puppets.map((it) => {
        const agent: Partial<Agent> = {
          id: it.id,
          settled: () => Effect.void,
          reserve: () =>
            Effect.sync(() => {
              it.state = "busy"
            }),
          perform: (work) =>
            Effect.suspend(() => {
              it.performed.push(work)
              return it.perform(work)
            }).pipe(
              Effect.ensuring(
                Effect.suspend(() => {
                  it.state = "idle"
                  return PubSub.publish(changed, undefined)
                })
              )
            )
        }
        return agent as Agent
      })
      return AgentPool.of({
        agents,
        get: (id) => agents.find((agent) => agent.id === id),
        enlist: () => Effect.die("nobody comes"),
        dismiss: () => Effect.die("nobody goes"),
        arrange: () => Effect.void,
        changed: Effect.asVoid(PubSub.publish(changed, undefined)),
        snapshot: Effect.sync(() =>
          puppets.map(({ capabilities, gone, id, state, taskTypes }) => ({
            id,
            group: id,
            taskTypes,
            capabilities,
            weight: 1,
            state,
            gone,
            holds: undefined
          }))
        ),
        changes: Effect.map(PubSub.subscribe(changed), Stream.fromSubscription)
      })
    })
  )

type Ledger = TaskLedger["Service"]

/** A dispatcher over these agents and a ledger in memory, of which `change` may replace methods and `before` fills it. */
const dispatching = (
  puppets: ReadonlyArray<Puppet>,
  change: (ledger: Ledger) => Partial<Ledger> = () => ({}),
  before: (ledger: Ledger) => Effect.Effect<unknown, unknown> = () => Effect.void
) =>
  Effect.gen(function* () {
    const around = yield* Layer.build(memory)
    const real = Context.get(around, TaskLedger)
    yield* Effect.orDie(before(real))
    const ledger = TaskLedger.of({ ...real, ...change(real) })
    const dispatcher = yield* Layer.build(
      Dispatcher.layer(retry).pipe(
        Layer.provide(poolOf(puppets)),
        Layer.provide(Layer.mock(Inputs, { recover: Effect.void })),
        Layer.provide(Layer.mock(Workspaces, { recover: Effect.void })),
        Layer.provide(Layer.succeed(TaskLedger, ledger)),
        Layer.provide(ProcessTree.layerBare),
        Layer.provide(Layer.succeedContext(around))
      )
    )
    const { drain } = Context.get(dispatcher, Dispatcher.Dispatcher)
    return { ...real, drain, bus: Context.get(around, EventBus) }
  })

describe("Dispatcher", () => {
  const edge = (shared: boolean) => ({ here: { node: "edge-1", shared, lastNode: () => undefined } })

  it.effect("looks again with the next change after a look that died", () =>
    Effect.gen(function* () {
      let looks = 0
      const ledger = yield* dispatching([puppet("worker")], ({ heads }) => ({
        heads: (passed) => Effect.suspend(() => (++looks === 1 ? Effect.die("a record that is none") : heads(passed)))
      }))
      yield* Effect.yieldNow
      yield* ledger.submit(task({ id: "t" }))
      assert.deepInclude(yield* ledger.result("t"), { status: "succeeded" })
      assert.isAbove(looks, 1)
    })
  )

  it.effect("gives back what was handed to it and could not be claimed, and gives out the rest", () =>
    Effect.gen(function* () {
      const handed = new Set(["cut"])
      const handing: Handing = {
        handed: () => [...handed],
        tried: (id) => void handed.delete(id),
        leftFor: ({ id }) => (id === "cut" && !handed.has(id) ? 1_000 : 0),
        want: () => {}
      }
      const ledger = yield* dispatching(
        [puppet("worker")],
        ({ claim }) => ({
          here: { ...edge(true).here, handing },
          claim: (id, agent) =>
            id === "cut"
              ? Effect.fail(new LedgerUnusable({ where: "of the fleet", problem: "unreachable", detail: "" }))
              : claim(id, agent)
        }),
        ({ submitAll }) => submitAll([task({ id: "cut" }), task({ id: "own", type: "other" })])
      ).pipe(
        Effect.provideService(Placement.Placement, {
          mayTake: (task) => Effect.sync(() => (handing.leftFor(task) > 0 ? "wait" : "take")),
          taken: () => Effect.void,
          passed: Effect.succeed([]),
          changes: Effect.succeed(Stream.never)
        })
      )
      yield* Effect.yieldNow
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* ledger.get("own"), { state: "succeeded" })
    })
  )

  it.effect("begins what the queue of its fleet has handed to it, leaves the rest to it, and says who is idle", () =>
    Effect.gen(function* () {
      const handed = new Set(["second"])
      const tried: Array<string> = []
      const wanted: Array<ReadonlyArray<Slot>> = []
      const handing: Handing = {
        handed: () => [...handed],
        tried: (id) => void (handed.delete(id) && tried.push(id)),
        leftFor: ({ id }) => (handed.has(id) || id === "anybodys" ? 0 : 1_000),
        want: (slots) => void wanted.push(slots)
      }
      const here = { ...edge(true).here, handing }
      const busy = puppet("busy", ["task"])
      busy.perform = () => Effect.never
      const placement = yield* Placement.make({
        here,
        bids: undefined,
        settings: { sticky: Duration.minutes(1), window: Duration.seconds(1), grace: Duration.seconds(1) }
      }).pipe(Effect.provide(EventBus.layer))
      const ledger = yield* dispatching(
        [busy, puppet("idle", ["rare"])],
        () => ({ here }),
        ({ submitAll }) => submitAll(["first", "second", "third"].map((id) => task({ id })))
      ).pipe(Effect.provideService(Placement.Placement, placement))
      yield* Effect.yieldNow
      yield* TestClock.adjust(1)
      assert.deepStrictEqual([tried, busy.performed.map(({ task }) => task)], [["second"], ["second"]])
      assert.deepStrictEqual(wanted.at(-1), [["rare"]])
      for (const id of ["first", "third"]) assert.deepInclude(yield* ledger.get(id), { state: "queued" })
      // The head of another lane that is left to nobody.
      yield* ledger.submit(task({ id: "anybodys", type: "rare" }))
      assert.deepInclude(yield* ledger.result("anybodys"), { status: "succeeded" })
    })
  )

  it.effect("gives back what it was handed and cannot begin, and wants nothing more when it is drained", () =>
    Effect.gen(function* () {
      const tried: Array<string> = []
      const wanted: Array<ReadonlyArray<Slot>> = []
      const handing: Handing = {
        handed: () => (tried.length === 0 ? ["t", "nobody's"] : []),
        tried: (id) => void tried.push(id),
        leftFor: () => 0,
        want: (slots) => void wanted.push(slots)
      }
      const worker = puppet("worker", ["other"])
      const { drain } = yield* dispatching(
        [worker],
        () => ({ here: { ...edge(true).here, handing } }),
        ({ submit }) => submit(task({ id: "t" }))
      )
      yield* Effect.yieldNow
      yield* TestClock.adjust(1)
      assert.deepStrictEqual([tried, worker.performed.length], [["t", "nobody's"], 0])
      assert.deepStrictEqual(wanted.at(-1), [["other"]])
      yield* drain
      assert.deepStrictEqual(wanted.at(-1), [])
    })
  )

  it.effect("leaves to other nodes what nobody here takes, and refuses what is for this one only", () =>
    Effect.gen(function* () {
      const worker = puppet("worker", ["code"])
      const ledger = yield* dispatching([worker], () => edge(true))
      yield* ledger.submit(task({ id: "theirs", type: "text" }))
      yield* ledger.submit(task({ id: "bound", type: "text", node: "edge-1" }))
      yield* ledger.submit(task({ id: "ours", type: "code" }))
      assert.deepInclude(yield* ledger.result("ours"), { status: "succeeded" })
      const { fault } = yield* ledger.result("bound")
      assert.strictEqual(fault?.kind, "NoTaker")
      assert.include(fault?.message ?? "", 'of node "edge-1"')
      assert.strictEqual((yield* ledger.get("theirs")).state, "queued")
    })
  )

  it.effect("leaves what is for another node alone, which holds up nothing behind it; alone it refuses it", () =>
    Effect.gen(function* () {
      const worker = puppet("worker")
      const ledger = yield* dispatching([worker], () => edge(true))
      yield* ledger.submit(task({ id: "there", node: "edge-2" }))
      yield* ledger.submit(task({ id: "here", node: "edge-1" }))
      yield* ledger.submit(task({ id: "anywhere" }))
      for (const id of ["here", "anywhere"]) assert.deepInclude(yield* ledger.result(id), { status: "succeeded" })
      assert.deepInclude(yield* ledger.get("there"), { state: "queued", attempt: 0 })
      const alone = yield* dispatching([puppet("worker")], () => edge(false))
      yield* alone.submit(task({ id: "there", node: "edge-2" }))
      assert.strictEqual((yield* alone.result("there")).fault?.kind, "NoTaker")
    })
  )

  it.effect("gives an attempt what is left of a budget, and begins none where nothing is left", () =>
    Effect.gen(function* () {
      const worker = puppet("worker")
      const cut = { _tag: "Interrupted", message: "cut off", severity: "low", recovery: "ignore", retriesTask: true }
      const usage = { ...noUsage, turns: 2, inputTokens: 30, outputTokens: 10 }
      worker.perform = () =>
        Effect.succeed({ outcome: Result.fail(cut) as unknown as Attempt["outcome"], usage, session: undefined })
      const ledger = yield* dispatching([worker])
      yield* ledger.submit({ ...task({ id: "t" }), budget: { turns: 4, tokens: 1000 } })
      yield* TestClock.adjust("1 hour")
      const result = yield* ledger.result("t")
      assert.strictEqual(result.fault?.kind, "BudgetSpent")
      assert.include(result.fault?.message ?? "", "4 of 4 turns")
      assert.strictEqual(result.usage.turns, 4)
      assert.deepStrictEqual(
        worker.performed.map(({ budget }) => budget),
        [
          { limit: { turns: 4, tokens: 1000 }, spent: noUsage },
          { limit: { turns: 4, tokens: 1000 }, spent: usage }
        ]
      )
    })
  )

  it.effect("goes on with what an earlier run had under way, before anything else", () =>
    Effect.gen(function* () {
      const worker = puppet("worker")
      const ledger = yield* dispatching(
        [worker],
        () => ({}),
        (ledger) =>
          Effect.gen(function* () {
            yield* ledger.submitAll(["new", "cut-off"].map((id) => task({ id })))
            yield* ledger.claim("cut-off", "somebody")
          })
      )
      assert.deepInclude(yield* ledger.result("new"), { status: "succeeded", attempts: 1 })
      assert.deepInclude(yield* ledger.result("cut-off"), { status: "succeeded", attempts: 2 })
      assert.deepStrictEqual(
        worker.performed.map(({ attempt, task }) => `${task} ${attempt}`),
        ["cut-off 2", "new 1"]
      )
    })
  )

  it.effect("counts no try where the agent was stopped under the task, but all where the task fails", () =>
    Effect.gen(function* () {
      const worker = puppet("worker")
      const ends = [
        "Interrupted",
        "Overloaded",
        "Interrupted",
        "Interrupted",
        "Overloaded",
        "Interrupted",
        "Overloaded"
      ]
      worker.perform = ({ attempt }) => {
        const end = ends[attempt - 1] ?? "none"
        const fault =
          end === "Interrupted"
            ? new Interrupted({ by: "its agent's stop" })
            : new Overloaded({ status: 529, detail: end })
        return Effect.succeed({ outcome: Result.fail(fault), usage: noUsage, session: undefined })
      }
      const ledger = yield* dispatching([worker])
      yield* ledger.submit(task({ id: "t" }))
      yield* TestClock.adjust("1 hour")
      const { attempts, fault } = yield* ledger.result("t")
      assert.strictEqual(attempts, ends.length)
      assert.strictEqual(fault?.kind, "Overloaded")
      assert.lengthOf(worker.performed, ends.length)
    })
  )

  it.effect("gives up what another attempt might have cured, and fails what none can", () =>
    Effect.gen(function* () {
      const worker = puppet("worker")
      worker.perform = ({ task }) => {
        const fault =
          task === "busy"
            ? new Overloaded({ status: 529, detail: "" })
            : new RequestRejected({ status: 400, detail: "no" })
        return Effect.succeed({ outcome: Result.fail(fault), usage: noUsage, session: undefined, words: "so far" })
      }
      const ledger = yield* dispatching([worker])
      yield* ledger.submitAll([task({ id: "busy" }), task({ id: "wrong" })])
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* ledger.get("wrong")).state, "failed")
      assert.strictEqual((yield* ledger.get("busy")).state, "dead")
      assert.deepInclude(yield* ledger.result("busy"), { status: "failed", attempts: 3 })
      assert.deepStrictEqual(
        (yield* ledger.history("busy")).map(({ ended, fault, words }) => `${ended} ${fault?.kind} ${words}`),
        ["parked Overloaded so far", "parked Overloaded so far", "dead Overloaded so far"]
      )
    })
  )

  it.effect(
    "tries a task as often as the task itself says, after its own pauses, and tells its agent its own time",
    () =>
      Effect.gen(function* () {
        const worker = puppet("worker")
        const at: Array<number> = []
        worker.perform = () =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            at.push(now)
            const fault = new Overloaded({ status: 529, detail: "" })
            return { outcome: Result.fail(fault), usage: noUsage, session: undefined }
          })
        const ledger = yield* dispatching([worker])
        yield* ledger.submit({
          ...task({ id: "t" }),
          retry: { attempts: 4, delay: "1 second", factor: 10, maxDelay: "20 seconds" },
          timeouts: { attempt: "7 minutes" }
        })
        yield* TestClock.adjust("1 hour")
        assert.strictEqual((yield* ledger.get("t")).state, "dead")
        assert.deepStrictEqual(at, [0, 1_000, 11_000, 31_000])
        assert.deepEqual(worker.performed[0]?.turnLimit, Duration.minutes(7))
      })
  )

  it.effect("ends the attempt under way of a task that is not over in its time", () =>
    Effect.gen(function* () {
      const worker = puppet("worker")
      const brokenOff = yield* Deferred.make<void>()
      worker.perform = () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(brokenOff, undefined))
      const ledger = yield* dispatching([worker])
      yield* ledger.submit({ ...task({ id: "t" }), timeouts: { whole: "1 hour" } })
      yield* TestClock.adjust("1 hour")
      yield* Deferred.await(brokenOff)
      assert.strictEqual((yield* ledger.result("t")).fault?.kind, "TaskOverdue")
    })
  )

  it.effect("breaks off an attempt at a task that is cancelled, and gives its agent the next", () =>
    Effect.gen(function* () {
      const worker = puppet("worker")
      const begun = yield* Deferred.make<void>()
      const brokenOff = yield* Deferred.make<void>()
      worker.perform = ({ task }) =>
        task === "next"
          ? Effect.succeed(answered("done"))
          : Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
              Effect.onInterrupt(() => Deferred.succeed(brokenOff, undefined))
            )
      const ledger = yield* dispatching([worker])
      yield* ledger.submitAll(["long", "next"].map((id) => task({ id })))
      yield* Deferred.await(begun)
      yield* ledger.cancel("long", "enough")
      yield* Deferred.await(brokenOff)
      assert.strictEqual((yield* ledger.result("next")).text, "done")
      assert.strictEqual((yield* ledger.get("long")).state, "cancelled")
    })
  )

  it.effect("keeps a result until the ledger can be written again, and gives out nothing twice meanwhile", () =>
    Effect.gen(function* () {
      const worker = puppet("worker")
      const full = new LedgerUnusable({ where: "ledger.db", problem: "full", detail: "database or disk is full" })
      let refusals = 3
      const unless = <A, E>(write: Effect.Effect<A, E>) =>
        Effect.suspend((): Effect.Effect<A, E | LedgerUnusable> => (refusals-- > 0 ? Effect.fail(full) : write))
      const ledger = yield* dispatching([worker], (real) => ({
        complete: (id, attempt, result) => unless(real.complete(id, attempt, result))
      }))
      const told: Array<string> = []
      yield* Stream.runForEach(yield* ledger.bus.subscribe, (event) =>
        Effect.sync(() => {
          if (event.type === "operator.notified") told.push(`${event.message}; ${event.hint}`)
        })
      ).pipe(Effect.forkScoped({ startImmediately: true }))
      yield* ledger.submit(task({ id: "t" }))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* ledger.get("t")).state, "running")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* ledger.result("t")).text, "worker did t")
      assert.lengthOf(worker.performed, 1)
      assert.lengthOf(told, 1)
      assert.match(told[0] ?? "", /disk is full.*make room/)
    })
  )

  it.effect("asks again where the ledger could not be asked what is next", () =>
    Effect.gen(function* () {
      let failures = 2
      const ledger = yield* dispatching([puppet("worker")], (real) => ({
        heads: (passOver) =>
          failures-- > 0
            ? Effect.fail(new LedgerUnusable({ where: "ledger.db", problem: "locked", detail: "" }))
            : real.heads(passOver)
      }))
      yield* ledger.submit(task({ id: "t" }))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* ledger.get("t")).state, "succeeded")
    })
  )

  it.effect("refuses what nobody is left for, all of it, and does the rest", () =>
    Effect.gen(function* () {
      const [coder, writer] = [puppet("coder", ["code"]), puppet("writer", ["write"])]
      coder.gone = true
      coder.state = "terminated"
      const ledger = yield* dispatching([coder, writer])
      yield* ledger.submitAll([
        task({ id: "c1", type: "code" }),
        task({ id: "w1", type: "write" }),
        task({ id: "c2", type: "code" })
      ])
      for (const id of ["c1", "c2"]) {
        const { attempts, fault } = yield* ledger.result(id)
        assert.strictEqual(fault?.kind, "NoTaker")
        assert.strictEqual(attempts, 0)
      }
      assert.strictEqual((yield* ledger.result("w1")).status, "succeeded")
    })
  )

  it.effect("does what others can do while what came before it waits for the one who can do that", () =>
    Effect.gen(function* () {
      const [able, other] = [puppet("able", [], ["rust"]), puppet("other", [], ["web"])]
      const gate = yield* Deferred.make<void>()
      able.perform = ({ task }) => Effect.as(Deferred.await(gate), answered(`able did ${task}`))
      const ledger = yield* dispatching([able, other])
      yield* ledger.submitAll(["r1", "r2", "r3"].map((id) => task({ id, capabilities: ["rust"] })))
      yield* ledger.submitAll(["w1", "w2"].map((id) => task({ id, capabilities: ["web"] })))
      assert.strictEqual((yield* ledger.result("w2")).text, "other did w2")
      assert.strictEqual((yield* ledger.get("r2")).state, "queued")
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* ledger.result("r3")).text, "able did r3")
      yield* ledger.submit(task({ id: "both", capabilities: ["rust", "web"] }))
      const { fault } = yield* ledger.result("both")
      assert.deepInclude(fault, { kind: "NoTaker" })
      assert.match(fault?.message ?? "", /missing is "(web|rust)"/)
    })
  )

  it.effect("asks the strategy of the node, and tells of an answer that is none", () =>
    Effect.gen(function* () {
      const workers = ["a", "b"].map((id) => puppet(id))
      const told: Array<unknown> = []
      const ledger = yield* dispatching(workers)
      yield* Stream.runForEach(yield* ledger.bus.subscribe, (event) =>
        Effect.sync(() => {
          if (event.type === "routing.fallback") told.push([event.task, event.why])
        })
      ).pipe(Effect.forkScoped({ startImmediately: true }))
      for (const id of ["t1", "t2", "t3"]) {
        yield* ledger.submit(task({ id, type: id === "t3" ? "wrong" : "task" }))
        yield* ledger.result(id)
      }
      assert.deepStrictEqual(workers[1]?.performed.map(({ task }) => task).slice(0, 2), ["t1", "t2"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(told, [["t3", "unfit"]])
    }).pipe(
      Effect.provideService(Routing, {
        strategy: "plugin",
        decayMillis: 1_000,
        plugin: ({ type }, agents) => (type === "wrong" ? "nobody" : agents.at(-1)?.id)
      })
    )
  )

  it.effect(
    "asks little of a long queue: nothing while all are busy, and one question for each task it gives out",
    () =>
      Effect.gen(function* () {
        const workers = ["a", "b", "c"].map((id) => puppet(id))
        const gate = yield* Deferred.make<void>()
        for (const it of workers) {
          it.perform = ({ task }) => Effect.as(Deferred.await(gate), answered(task))
        }
        let asked = 0
        let read = 0
        const ledger = yield* dispatching(workers, (real) => ({
          heads: (passOver) =>
            Effect.map(real.heads(passOver), (records) => {
              asked++
              read += records.length
              return records
            })
        }))
        yield* ledger.submitAll(Array.from({ length: 3 }, (_, n) => task({ id: `first-${n}` })))
        yield* TestClock.adjust(1)
        assert.lengthOf(
          workers.flatMap(({ performed }) => performed),
          3
        )
        const before = asked
        for (let n = 0; n < 5_000; n++) yield* ledger.submit(task({ id: `t${n}` }))
        yield* TestClock.adjust(1)
        assert.strictEqual(asked, before)
        yield* Deferred.succeed(gate, undefined)
        yield* ledger.result("t4999")
        assert.lengthOf(
          workers.flatMap(({ performed }) => performed),
          5_003
        )
        // One type of task is one head a question; some questions find that all have become busy.
        assert.isAtMost(read, 4 * 5_003)
      })
  )
})
