import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { Child } from "../../src/supervision/Child.ts"
import * as Supervisor from "../../src/supervision/Supervisor.ts"
import { Boom, Notebook, spec, within } from "./Script.ts"

describe("the first start", () => {
  it.effect("starts children left to right, the next one when the one before is ready", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("b", { starting: () => Effect.sleep("3 seconds") })
      const starting = yield* Effect.forkScoped(Supervisor.start(spec([notes.child("a"), slow, notes.child("c")])))
      yield* TestClock.adjust("2999 millis")
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b"])
      assert.strictEqual(starting.pollUnsafe(), undefined)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(notes.take(), ["b!", "+c", "c!"])
      yield* Fiber.join(starting)
    })
  )

  it.effect("stops what was started, last one first, when a child cannot be started, and fails", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const bad = notes.child("c", { starting: () => Effect.fail(new Boom("no such file")) })
      const error = yield* Effect.flip(
        Supervisor.start(spec([notes.child("a"), notes.child("b"), bad, notes.child("d")]))
      )
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b", "b!", "+c", "-c", "-b", "-a"])
      assert.strictEqual(
        error.message,
        'supervisor "node" did not start: child "c" could not be started: Boom: no such file'
      )
    })
  )

  it.effect("stops what was started when it is interrupted before all are ready", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const never = notes.child("b", { starting: () => Effect.never })
      const starting = yield* Effect.forkChild(
        Effect.scoped(Supervisor.start(spec([notes.child("a"), never, notes.child("c")]))),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(starting)
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b", "-b", "-a"])
    })
  )

  it.effect("starts no other child while one that has failed to start is unwound, though it takes its time", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const bad = notes.child("b", {
        starting: () => Effect.fail(new Boom()),
        releasing: () => Effect.sleep("2 seconds")
      })
      const starting = yield* Effect.forkScoped(Supervisor.start(spec([notes.child("a"), bad, notes.child("c")])))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(notes.take(), ["-b", "-a"])
      assert.isTrue(Exit.isFailure(yield* Fiber.await(starting)))
    })
  )

  it.effect("restarts a child that fails while a sibling still starts", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("b", { starting: () => Effect.sleep("3 seconds") })
      yield* Effect.forkScoped(Supervisor.start(spec([notes.child("a"), slow])))
      yield* TestClock.adjust("1 second")
      notes.end("a")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b", "-a", "+a", "a!", "b!"])
    })
  )

  it.effect("refuses what is specified wrongly, naming the value, and starts nothing", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const a = notes.child("a")
      const refusals = [
        spec([a], { maxRestarts: -1 }),
        spec([a], { maxRestarts: 1.5 }),
        spec([a], { within: 0 }),
        spec([a], { id: "a/b" }),
        spec([a, notes.child("a")]),
        spec([a, notes.child("b", { shutdown: 0 })]),
        spec([a, notes.child("b", { backoff: { initialDelay: -1 } })]),
        spec([a, notes.child("b", { backoff: { initialDelay: 1, factor: 0.5 } })]),
        spec([a, notes.child("")])
      ]
      const messages = yield* Effect.forEach(refusals, (bad) =>
        Effect.map(Effect.flip(Supervisor.start(bad)), ({ message }) => message)
      )
      assert.deepStrictEqual(messages, [
        'supervisor "node" is refused: maxRestarts is -1, expected a whole number of 0 or more',
        'supervisor "node" is refused: maxRestarts is 1.5, expected a whole number of 0 or more',
        'supervisor "node" is refused: within is 0, expected a time above 0',
        'supervisor "a/b" is refused: id is "a/b", expected a name without slashes',
        'supervisor "node" is refused: children is "a" twice, expected children with different ids',
        'child "b" of supervisor "node" is refused: shutdown is 0, expected a time above 0, "brutal" or "infinity"',
        'child "b" of supervisor "node" is refused: backoff.initialDelay is -1, expected a time of 0 or more',
        'child "b" of supervisor "node" is refused: backoff.factor is 0.5, expected a number of 1 or more',
        'child "" of supervisor "node" is refused: id is , expected a name'
      ])
      assert.deepStrictEqual(notes.take(), [])
    })
  )
})

describe("the end", () => {
  it.effect("stops children right to left, each after the one before has released what it holds", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("b", { releasing: () => Effect.sleep("2 seconds") })
      const { stop, supervisor } = yield* within(spec([notes.child("a"), slow, notes.child("c")]))
      notes.take()
      const stopping = yield* Effect.forkChild(stop)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(notes.take(), ["-c"])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(notes.take(), ["-b", "-a"])
      yield* supervisor.ended
    })
  )

  it.effect("goes on after five seconds without a child that does not end, and names it", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const stuck = notes.child("b", { releasing: () => Effect.never })
      const { stop } = yield* within(spec([notes.child("a"), stuck], { report: notes.report }))
      notes.take()
      const stopping = yield* Effect.forkChild(stop)
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(notes.take(), [])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(notes.take(), ["-a"])
      const overran = notes.events.find(({ _tag }) => _tag === "ShutdownOverran")
      assert.include(overran, { child: "b", why: "did not end within 5 seconds and was abandoned" })
    })
  )

  it.effect("goes on without a child that ignores interruption, and says so when that one ends after all", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const deaf: Child = {
        id: "deaf",
        shutdown: "1 second",
        start: Effect.succeed(Effect.uninterruptible(Effect.sleep("10 seconds")))
      }
      const { stop, supervisor } = yield* within(spec([deaf, notes.child("b")], { report: notes.report }))
      const stopped = yield* Effect.forkChild(supervisor.terminateChild("deaf"))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(stopped)
      yield* TestClock.adjust("9 seconds")
      assert.includeMembers([...notes.tags()], ["ShutdownOverran deaf", "ChildTerminated deaf", "AbandonedEnded deaf"])
      yield* stop
    })
  )

  it.effect("does not wait at all for a brutal child", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const stuck = notes.child("b", { shutdown: "brutal", releasing: () => Effect.never })
      const { stop } = yield* within(spec([notes.child("a"), stuck], { report: notes.report }))
      yield* stop
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b", "b!", "-a"])
      assert.notInclude(notes.tags(), "ShutdownOverran b")
    })
  )

  it.effect("waits without limit for a child whose shutdown is infinity", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("a", { shutdown: "infinity", releasing: () => Effect.sleep("1 day") })
      const { stop } = yield* within(spec([slow]))
      const stopping = yield* Effect.forkChild(stop)
      yield* TestClock.adjust("23 hours")
      assert.strictEqual(stopping.pollUnsafe(), undefined)
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(stopping)
    })
  )

  it.effect("ends although a finaliser fails", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const bad = notes.child("b", { releasing: () => Effect.die("in the finaliser") })
      const { stop } = yield* within(spec([notes.child("a"), bad]))
      yield* stop
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+b", "b!", "-a"])
    })
  )
})

describe("restart types", () => {
  const endings = {
    normal: Effect.void,
    failed: Effect.fail(new Boom()),
    defect: Effect.die(new TypeError("x is undefined")),
    stopped: Effect.interrupt
  }
  const restarted = {
    permanent: { normal: true, failed: true, defect: true, stopped: false },
    transient: { normal: false, failed: true, defect: true, stopped: false },
    temporary: { normal: false, failed: false, defect: false, stopped: false }
  }
  for (const restart of ["permanent", "transient", "temporary"] as const) {
    for (const ending of ["normal", "failed", "defect", "stopped"] as const) {
      const will = restarted[restart][ending]
      it.effect(`${will ? "restarts" : "does not restart"} a ${restart} child that ended: ${ending}`, () =>
        Effect.gen(function* () {
          const notes = new Notebook()
          const { supervisor } = yield* within(spec([notes.child("a", { restart })]))
          notes.take()
          notes.end("a", endings[ending])
          assert.deepStrictEqual(notes.take(), will ? ["-a", "+a", "a!"] : ["-a"])
          const status = (yield* supervisor.which).map((child) => child.status)
          const resting = ending === "stopped" ? "stopped" : "ended"
          assert.deepStrictEqual(status, will ? ["running"] : restart === "temporary" ? [] : [resting])
        })
      )
    }
  }

  it.effect("does not restart a child of which someone interrupts the fiber", () =>
    Effect.gen(function* () {
      let fiber: Fiber.Fiber<unknown, unknown> | undefined
      const child: Child = {
        id: "a",
        start: Effect.withFiber((self) => {
          fiber = self
          return Effect.succeed(Effect.never)
        })
      }
      const { supervisor } = yield* within(spec([child]))
      if (fiber !== undefined) yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* supervisor.which)[0]?.status, "stopped")
    })
  )

  it.effect("keeps the cause of a defect, stack and all", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      yield* within(spec([notes.child("a")], { report: notes.report }))
      const bug = new TypeError("x is undefined")
      notes.end("a", Effect.die(bug))
      const exited = notes.events.find((event) => event._tag === "ChildExited")
      assert.strictEqual(exited?.cause === undefined ? undefined : Cause.squash(exited.cause), bug)
      assert.strictEqual(exited?.reason?.message, "TypeError: x is undefined")
    })
  )

  it.effect("closes the scope of a life before the next life begins", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const slow = notes.child("a", { releasing: (life) => (life === 1 ? Effect.sleep("2 seconds") : Effect.void) })
      yield* within(spec([slow]))
      notes.end("a")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "-a", "+a", "a!"])
    })
  )

  it.effect("restarts a child whose scope does not close in time after a crash, and names it", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const stuck = notes.child("a", { releasing: (life) => (life === 1 ? Effect.never : Effect.void) })
      yield* within(spec([stuck], { report: notes.report }))
      notes.end("a")
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(notes.take(), ["+a", "a!", "+a", "a!"])
      assert.include(notes.tags(), "ShutdownOverran a")
    })
  )
})

describe("strategies", () => {
  const abc = Effect.fnUntraced(function* (strategy: Supervisor.SupervisorSpec["strategy"]) {
    const notes = new Notebook()
    const all = spec([notes.child("a"), notes.child("b"), notes.child("c")], { strategy, report: notes.report })
    const running = yield* within(all)
    notes.take()
    return { notes, ...running }
  })

  it.effect("one_for_one restarts only the child that failed", () =>
    Effect.gen(function* () {
      const { notes } = yield* abc("one_for_one")
      notes.end("b")
      assert.deepStrictEqual(notes.take(), ["-b", "+b", "b!"])
    })
  )

  it.effect("one_for_all stops the others last one first, then starts all first one first", () =>
    Effect.gen(function* () {
      const { notes } = yield* abc("one_for_all")
      notes.end("b")
      assert.deepStrictEqual(notes.take(), ["-b", "-c", "-a", "+a", "a!", "+b", "b!", "+c", "c!"])
    })
  )

  it.effect("rest_for_one leaves alone the children before the one that failed", () =>
    Effect.gen(function* () {
      const { notes } = yield* abc("rest_for_one")
      notes.end("b")
      assert.deepStrictEqual(notes.take(), ["-b", "-c", "+b", "b!", "+c", "c!"])
    })
  )

  it.effect("escalate stops all and fails at the first failure", () =>
    Effect.gen(function* () {
      const { notes, supervisor } = yield* abc("escalate")
      notes.end("b")
      const error = yield* Effect.flip(supervisor.ended)
      assert.deepStrictEqual(notes.take(), ["-b", "-c", "-a"])
      assert.deepInclude(error, { why: "strategy", child: "b" })
      assert.strictEqual(error.recovery, "restart")
    })
  )

  for (const strategy of ["one_for_one", "one_for_all", "rest_for_one", "escalate"] as const) {
    it.effect(`${strategy} gives up at once over a fault that no restart can cure`, () =>
      Effect.gen(function* () {
        const { notes, supervisor } = yield* abc(strategy)
        notes.end("b", Effect.fail(new Boom("wrong key", { recovery: "escalate" })))
        const error = yield* Effect.flip(supervisor.ended)
        assert.deepStrictEqual(notes.take(), ["-b", "-c", "-a"])
        assert.strictEqual(error.recovery, "escalate")
        assert.strictEqual(
          error.message,
          'supervisor "node" gave up: child "b" failed with what no restart can cure: Boom: wrong key'
        )
      })
    )
  }

  it.effect("a temporary child does not come back with its group", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const children = [notes.child("a"), notes.child("b", { restart: "temporary" }), notes.child("c")]
      const { supervisor } = yield* within(spec(children, { strategy: "one_for_all" }))
      notes.take()
      notes.end("c")
      assert.deepStrictEqual(notes.take(), ["-c", "-b", "-a", "+a", "a!", "+c", "c!"])
      assert.deepStrictEqual(
        (yield* supervisor.which).map(({ id }) => id),
        ["a", "c"]
      )
    })
  )

  it.effect("a transient child that had finished comes back with its group, one that was stopped does not", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const children = [notes.child("a", { restart: "transient" }), notes.child("b"), notes.child("c")]
      const { supervisor } = yield* within(spec(children, { strategy: "one_for_all" }))
      notes.end("a", Effect.void)
      yield* supervisor.terminateChild("b")
      notes.take()
      notes.end("c")
      assert.deepStrictEqual(notes.take(), ["-c", "+a", "a!", "+c", "c!"])
    })
  )
})

describe("intensity", () => {
  for (const strategy of ["one_for_one", "one_for_all", "rest_for_one"] as const) {
    it.effect(`${strategy} allows so many restarts within the window and gives up at the next`, () =>
      Effect.gen(function* () {
        const notes = new Notebook()
        const children = [notes.child("a"), notes.child("b")]
        const { supervisor } = yield* within(spec(children, { strategy, maxRestarts: 2, within: "10 seconds" }))
        notes.end("a")
        yield* TestClock.adjust("5 seconds")
        notes.end("b")
        yield* TestClock.adjust("5 seconds")
        notes.take()
        notes.end("a", Effect.fail(new Boom("exit 137")))
        const error = yield* Effect.flip(supervisor.ended)
        assert.deepStrictEqual(notes.take(), ["-a", "-b"])
        assert.strictEqual(
          error.message,
          'supervisor "node" gave up: child "a" failed, and more than 2 restarts within 10 seconds are not allowed; the last failure was Boom: exit 137'
        )
        assert.deepStrictEqual(
          error.history.map(({ at, child, reason }) => [child, reason.message, at]),
          [
            ["a", "boom", 0],
            ["b", "boom", 5_000],
            ["a", "exit 137", 10_000]
          ]
        )
      })
    )

    it.effect(`${strategy} goes on when the oldest restart has left the window`, () =>
      Effect.gen(function* () {
        const notes = new Notebook()
        const { supervisor } = yield* within(
          spec([notes.child("a"), notes.child("b")], { strategy, maxRestarts: 2, within: "10 seconds" })
        )
        for (const wait of ["0 millis", "5 seconds", "5001 millis", "5 seconds"] as const) {
          yield* TestClock.adjust(wait)
          notes.end("a")
        }
        assert.deepStrictEqual(
          (yield* supervisor.which).map(({ status }) => status),
          ["running", "running"]
        )
      })
    )
  }

  it.effect("0 gives up at the first failure", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a")], { maxRestarts: 0 }))
      notes.end("a")
      assert.strictEqual((yield* Effect.flip(supervisor.ended)).why, "intensity")
    })
  )

  it.effect("the normal end of a permanent child counts", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const { supervisor } = yield* within(spec([notes.child("a")], { maxRestarts: 0 }))
      notes.end("a", Effect.void)
      const error = yield* Effect.flip(supervisor.ended)
      assert.strictEqual(error.history[0]?.reason.kind, "Ended")
    })
  )

  it.effect("a fault that does not count restarts the child all the same, the second time in a row after a pause", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const limit = Effect.fail(new Boom("rate limit", { countsAgainstIntensity: false }))
      const { supervisor } = yield* within(spec([notes.child("a")], { maxRestarts: 0 }))
      notes.take()
      notes.end("a", limit)
      assert.deepStrictEqual(notes.take(), ["-a", "+a", "a!"])
      notes.end("a", limit)
      assert.deepStrictEqual(notes.take(), ["-a"])
      assert.strictEqual((yield* supervisor.which)[0]?.restartInMillis, 1_000)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(notes.take(), ["+a", "a!"])
    })
  )

  it.effect("a defect on the way out makes a fault count that would not", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const limit = Effect.fail(new Boom("rate limit", { countsAgainstIntensity: false }))
      const child = notes.child("a", { releasing: () => Effect.die("and a bug") })
      const { supervisor } = yield* within(spec([child], { maxRestarts: 0 }))
      notes.end("a", limit)
      assert.strictEqual((yield* Effect.flip(supervisor.ended)).why, "intensity")
    })
  )

  it.effect("many children that fail in the same tick are counted one by one", () =>
    Effect.gen(function* () {
      const notes = new Notebook()
      const ids = ["a", "b", "c", "d"]
      const trigger = yield* Deferred.make<void, Boom>()
      const lives = new Map<string, number>()
      const children = ids.map(
        (id): Child => ({
          id,
          start: Effect.sync(() => {
            lives.set(id, (lives.get(id) ?? 0) + 1)
            return lives.get(id) === 1 ? Deferred.await(trigger) : Effect.never
          })
        })
      )
      const { supervisor } = yield* within(spec(children, { maxRestarts: 3, report: notes.report }))
      yield* Deferred.fail(trigger, new Boom())
      assert.deepStrictEqual(
        [...lives.values()],
        [2, 2, 2, 2].map((n, i) => (i === 3 ? n - 1 : n))
      )
      assert.strictEqual((yield* Effect.flip(supervisor.ended)).child, "d")
    })
  )
})
