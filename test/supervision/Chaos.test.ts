/**
 * What must hold however long starts and stops take and whatever happens meanwhile. The model has instant children; here
 * they are slow, fall while they start, hang while they stop, and are asked for things all the time.
 */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import type { Fault } from "../../src/domain/Fault.ts"
import type { Child } from "../../src/supervision/Child.ts"
import * as Supervisor from "../../src/supervision/Supervisor.ts"
import { Boom } from "./Script.ts"

const SEQUENCES = Number(process.env["SEQUENCES"] ?? 5_000)
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31)

const time = fc.constantFrom(0, 0, 10, 50, 100)
/** One life: how long its start takes and how that ends, how long it runs and how that ends, how long it takes to go. */
const life = fc.record({
  starts: time,
  startFails: fc.constantFrom(false, false, false, false, true),
  runs: fc.constantFrom(0, 10, 50, 200, 1_000, 100_000, 100_000),
  ends: fc.constantFrom("fails", "fails", "normal", "stopped", "uncounted" as const),
  releases: fc.constantFrom(0, 0, 0, 20, 80, 5_000)
})
const leaf = fc.record({
  restart: fc.constantFrom("permanent", "permanent", "transient", "temporary" as const),
  backoff: fc.option(fc.constantFrom(0, 20, 100), { nil: undefined }),
  lives: fc.array(life, { minLength: 1, maxLength: 6, size: "max" })
})
type Leaf = typeof leaf extends fc.Arbitrary<infer A> ? A : never
const tree = fc.record({
  strategy: fc.constantFrom("one_for_one", "one_for_all", "rest_for_one" as const),
  inner: fc.constantFrom("one_for_one", "one_for_all", "rest_for_one" as const),
  maxRestarts: fc.constantFrom(1, 3, 10, 50),
  leaves: fc.array(leaf, { minLength: 1, maxLength: 4, size: "max" }),
  nested: fc.array(leaf, { maxLength: 3, size: "max" })
})
const action = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("wait" as const), millis: fc.constantFrom(1, 10, 30, 100, 500) })
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom("terminate", "restart", "delete" as const), which: fc.nat(5) })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("add" as const), leaf, which: fc.nat(2) }) }
)
type Action = typeof action extends fc.Arbitrary<infer A> ? A : never

const still = { starts: 0, startFails: false, runs: 0, ends: "stopped", releases: 0 } as const
const SHUTDOWN = 1_000

class Watch {
  /** children with a life that has not released what it holds and was not abandoned */
  readonly alive = new Map<string, number>()
  readonly wrong: Array<string> = []
  private born = 0

  child(id: string, plan: Leaf): Child {
    let count = 0
    return {
      id,
      restart: plan.restart,
      shutdown: SHUTDOWN,
      ...(plan.backoff === undefined ? {} : { backoff: { initialDelay: plan.backoff, jitter: "none" } }),
      start: Effect.gen({ self: this }, function* () {
        const own = ++this.born
        const { ends, releases, runs, startFails, starts } = plan.lives[count++ % plan.lives.length] ?? still
        const before = this.alive.get(id)
        if (before !== undefined) this.wrong.push(`${id} begins life ${own} while life ${before} is not over`)
        this.alive.set(id, own)
        yield* Effect.addFinalizer(() =>
          Effect.andThen(
            Effect.sleep(releases),
            Effect.sync(() => {
              if (this.alive.get(id) === own) this.alive.delete(id)
            })
          )
        )
        yield* Effect.sleep(starts)
        if (startFails) return yield* Effect.fail<Fault>(new Boom("start"))
        const end: Effect.Effect<void, Fault> =
          ends === "normal"
            ? Effect.void
            : ends === "stopped"
              ? Effect.interrupt
              : Effect.fail(new Boom(ends, { countsAgainstIntensity: ends === "fails" }))
        return Effect.andThen(Effect.sleep(runs), end)
      })
    }
  }
}

const scenario = Effect.fnUntraced(function* (
  plan: typeof tree extends fc.Arbitrary<infer A> ? A : never,
  actions: ReadonlyArray<Action>
) {
  const watch = new Watch()
  const settings = { maxRestarts: plan.maxRestarts, within: "1 second" } as const
  const inner = Supervisor.child({
    id: "inner",
    strategy: plan.inner,
    ...settings,
    children: plan.nested.map((leaf, n) => watch.child(`inner-${n}`, leaf))
  })
  const children = plan.leaves.map((leaf, n) => watch.child(`leaf-${n}`, leaf))
  const scope = yield* Scope.make()
  const started = yield* Deferred.make<Supervisor.Supervisor>()
  const ended = yield* Effect.forkDetach(
    Scope.provide(
      Supervisor.start({
        id: "root",
        strategy: plan.strategy,
        ...settings,
        children: [...children.slice(0, 2), inner, ...children.slice(2)],
        report: (event) =>
          Effect.sync(() => {
            if (event._tag === "ShutdownOverran") watch.alive.delete(event.child)
          })
      }),
      scope
    ).pipe(
      Effect.tap((supervisor) => Deferred.succeed(started, supervisor)),
      Effect.flatMap((supervisor) => supervisor.ended),
      Effect.exit
    )
  )
  const requests: Array<Fiber.Fiber<unknown>> = []
  for (const action of actions) {
    if (action.do === "wait") {
      yield* TestClock.adjust(action.millis)
      continue
    }
    const ids = [...children.map(({ id }) => id), "inner", "new-0"]
    const request = Effect.flatMap(Deferred.await(started), (supervisor): Effect.Effect<void, unknown> => {
      if (action.do === "add") return supervisor.startChild(watch.child(`new-${action.which}`, action.leaf))
      return supervisor[`${action.do}Child`](ids[action.which % ids.length] ?? "")
    })
    requests.push(yield* Effect.forkDetach(Effect.exit(request), { startImmediately: true }))
  }
  // Everything comes to an end: the supervisor within the time its children may take, one after the other.
  const closing = yield* Effect.forkDetach(Scope.close(scope, Exit.void), { startImmediately: true })
  yield* TestClock.adjust(SHUTDOWN * 20)
  assert.deepStrictEqual(watch.wrong, [])
  assert.isDefined(closing.pollUnsafe(), "the supervisor has not ended")
  assert.isDefined(ended.pollUnsafe(), "those who wait for its end were not told")
  assert.deepStrictEqual([...watch.alive], [], "children are left")
  const isStarted = yield* Deferred.isDone(started)
  const open = requests.filter((request) => request.pollUnsafe() === undefined).length
  if (isStarted) assert.strictEqual(open, 0, "requests were not answered")
  for (const request of requests) yield* Fiber.interrupt(request)
})

it(`never two lives of a child at once, nothing left at the end, every request answered: ${SEQUENCES} random sequences (seed ${seed})`, async () => {
  await fc.assert(
    fc.asyncProperty(tree, fc.array(action, { maxLength: 25, size: "max" }), (plan, actions) =>
      Effect.runPromise(
        Effect.provide(Effect.scoped(scenario(plan, actions)), TestClock.layer({ warningDelay: "1 hour" }))
      )
    ),
    { numRuns: SEQUENCES, seed }
  )
}, 180_000)
