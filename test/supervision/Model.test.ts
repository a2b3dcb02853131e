/** Drives the model and the real supervisor with the same random actions; any difference is a failure, shrunk. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, type Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import type { Child } from "../../src/supervision/Child.ts"
import * as Supervisor from "../../src/supervision/Supervisor.ts"
import { type Kid, Model } from "./Model.ts"
import { type Ending, type Leaf, type StartOutcome, type Tree, World } from "./ModelWorld.ts"
import { Boom, Notebook } from "./Script.ts"

const SEQUENCES = Number(process.env["SEQUENCES"] ?? 20_000)
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31)

// --- what can happen --------------------------------------------------------------------------------------------------

const fault = fc.constantFrom("counted", "counted", "uncounted", "escalate", "defect" as const)
const ending: fc.Arbitrary<Ending> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("counted" as const) },
  { weight: 3, arbitrary: fc.constantFrom("normal", "stopped", "uncounted", "defect" as const) },
  { weight: 1, arbitrary: fc.constant("escalate" as const) }
)
const start: fc.Arbitrary<StartOutcome> = fc.oneof(
  { weight: 12, arbitrary: fc.constant("ready" as const) },
  { weight: 2, arbitrary: fault },
  { weight: 1, arbitrary: fc.constant("ignored" as const) }
)
const common = {
  restart: fc.constantFrom("permanent", "permanent", "transient", "temporary" as const),
  significant: fc.boolean(),
  backoff: fc.option(fc.constantFrom(100, 250, 1_000), { nil: undefined })
}
const leaf = fc.record({ ...common, starts: fc.array(start, { maxLength: 5 }) })
const branch = fc.record({
  ...common,
  strategy: fc.constantFrom("one_for_one", "one_for_all", "rest_for_one", "escalate" as const),
  maxRestarts: fc.constantFrom(0, 1, 2, 3, 10, 10),
  within: fc.constantFrom(100, 1_000, 60_000),
  autoShutdown: fc.constantFrom("never", "never", "any_significant", "all_significant" as const)
})
type Bare = { readonly leaf: typeof leaf extends fc.Arbitrary<infer A> ? A : never }
type BareTree = (typeof branch extends fc.Arbitrary<infer A> ? A : never) & {
  readonly children: ReadonlyArray<Bare | { readonly tree: BareTree }>
}
const treeOf = (depth: number): fc.Arbitrary<BareTree> =>
  fc
    .tuple(
      branch,
      fc.array(
        depth === 0
          ? fc.record({ leaf })
          : fc.oneof(
              { weight: 4, arbitrary: fc.record({ leaf }) },
              { weight: 1, arbitrary: fc.record({ tree: treeOf(depth - 1) }) }
            ),
        { maxLength: 4, size: "max" }
      )
    )
    .map(([settings, children]) => ({ ...settings, children }))

/** Names for all, and no significant child where it would be refused. */
const named = (bare: BareTree, id: string): Tree => ({
  ...bare,
  id,
  significant: false,
  children: bare.children.map((child, n) => {
    const common = "leaf" in child ? child.leaf : child.tree
    const significant = common.significant && common.restart !== "permanent" && bare.autoShutdown !== "never"
    // A supervisor that ends by itself while it boots is a race with its later siblings, which the model does not run.
    const starts = "leaf" in child ? child.leaf.starts.filter((how) => !(significant && how === "ignored")) : []
    return "leaf" in child
      ? { ...child.leaf, id: `${id}-${n}`, significant, starts }
      : { ...named(child.tree, `${id}-${n}`), significant }
  })
})

type Action =
  | { readonly do: "end"; readonly which: number; readonly how: Ending }
  | { readonly do: "terminate" | "restart" | "delete"; readonly where: number; readonly which: number }
  | { readonly do: "add"; readonly where: number; readonly which: number; readonly leaf: Bare["leaf"] }
  | { readonly do: "wait"; readonly millis: number }
const index = fc.nat(1_000)
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("end" as const), which: index, how: ending }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom("terminate", "restart", "delete" as const), where: index, which: index })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("add" as const), where: index, which: fc.nat(3), leaf }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("wait" as const), millis: fc.constantFrom(1, 50, 100, 250, 1_000, 5_000) })
  }
)

// --- the real thing ---------------------------------------------------------------------------------------------------

const faults = {
  counted: Effect.fail(new Boom("counted")),
  uncounted: Effect.fail(new Boom("uncounted", { countsAgainstIntensity: false })),
  escalate: Effect.fail(new Boom("escalate", { recovery: "escalate" })),
  defect: Effect.die(new Error("defect")),
  normal: Effect.void,
  stopped: Effect.interrupt,
  ignored: Effect.interrupt,
  ready: Effect.void
}

class Real {
  readonly notes = new Notebook()
  readonly handles = new Map<string, Supervisor.Supervisor>()

  private options({ backoff, restart, significant }: Leaf | Tree) {
    if (backoff === undefined) return { restart, significant }
    const times = { initialDelay: backoff, maxDelay: backoff * 8, resetAfter: backoff * 10 }
    return { restart, significant, backoff: { ...times, jitter: "none" as const } }
  }

  leaf(plan: Leaf): Child {
    const starting = (life: number) => faults[plan.starts[life - 1] ?? "ready"]
    return this.notes.child(plan.id, { ...this.options(plan), starting })
  }

  tree(plan: Tree): Supervisor.SupervisorSpec {
    const { autoShutdown, children, id, maxRestarts, strategy, within } = plan
    return {
      ...this.options(plan),
      ...{ id, strategy, maxRestarts, within, autoShutdown },
      children: children.map((child) => ("children" in child ? this.nested(child) : this.leaf(child)))
    }
  }

  private nested(plan: Tree): Child {
    const spec = this.tree(plan)
    return {
      ...Supervisor.child(spec),
      start: Supervisor.start(spec).pipe(
        Effect.tap((handle) => Effect.sync(() => this.handles.set(plan.id, handle))),
        Effect.map((handle) => handle.ended)
      )
    }
  }
}

// --- both together ----------------------------------------------------------------------------------------------------

/** Every running leaf and every running supervisor of the model, in order. */
const walk = (model: Model, id: string) => {
  const leaves: Array<readonly [Model, Kid]> = []
  const models: Array<readonly [string, Model]> = []
  const visit = (model: Model, id: string) => {
    if (model.phase !== "running") return
    models.push([id, model])
    for (const kid of model.kids) {
      if (kid.inner !== undefined) visit(kid.inner, kid.plan.id)
      else if (kid.status === "running" && !("children" in kid.plan)) leaves.push([model, kid])
    }
  }
  visit(model, id)
  return { leaves, models }
}

const pick = <A>(list: ReadonlyArray<A>, n: number): A | undefined => list[n % list.length]

const scenario = Effect.fnUntraced(function* (plan: Tree, actions: ReadonlyArray<Action>) {
  const world = new World()
  const model = new Model(world, plan, () => {})
  const real = new Real()
  const scope = yield* Scope.make()

  const outcome = (fiber: Fiber.Fiber<void, { readonly _tag: string }>) => {
    const exit = fiber.pollUnsafe()
    return exit === undefined
      ? "pending"
      : Exit.isSuccess(exit)
        ? "ok"
        : (Exit.findErrorOption(exit).valueOrUndefined?._tag ?? "died")
  }
  const ask = (request: Effect.Effect<void, { readonly _tag: string }>) =>
    Effect.map(Effect.forkScoped(request, { startImmediately: true }), outcome)

  const compare = Effect.fnUntraced(function* () {
    assert.deepStrictEqual(real.notes.lines, world.log)
    for (const [id, inner] of walk(model, plan.id).models) {
      const which = yield* real.handles.get(id)?.which ?? Effect.succeed([])
      assert.deepStrictEqual(
        which.map(({ id, restarts, status }) => [id, status, restarts]),
        inner.kids.map(({ plan, restarts, status }) => [plan.id, status, restarts])
      )
    }
  })

  const perform = Effect.fnUntraced(function* (action: Action) {
    if (action.do === "wait") {
      world.advance(action.millis)
      return yield* TestClock.adjust(action.millis)
    }
    const { leaves, models } = walk(model, plan.id)
    if (action.do === "end") {
      const [owner, kid] = pick(leaves, action.which) ?? []
      if (owner === undefined || kid === undefined) return
      owner.end(kid, action.how)
      return real.notes.end(kid.plan.id, faults[action.how])
    }
    const [id, inner] = pick(models, action.where) ?? []
    const handle = real.handles.get(id ?? "")
    if (inner === undefined || handle === undefined) return
    if (action.do === "add") {
      const added: Leaf = { ...action.leaf, id: `${id}-new${action.which}`, significant: false }
      return assert.strictEqual(yield* ask(handle.startChild(real.leaf(added))), inner.startChild(added))
    }
    const kid = pick(inner.kids, action.which)
    if (kid === undefined) return
    const method = `${action.do}Child` as const
    assert.strictEqual(yield* ask(handle[method](kid.plan.id)), inner[method](kid))
  })

  model.boot()
  const started = yield* Effect.exit(Scope.provide(Supervisor.start(real.tree(plan)), scope))
  if (Exit.isSuccess(started)) real.handles.set(plan.id, started.value)
  else assert.strictEqual(model.phase, "ended")
  yield* compare()
  for (const action of actions) {
    yield* perform(action)
    yield* compare()
  }
  if (Exit.isSuccess(started)) {
    const ended = yield* Effect.forkScoped(Effect.flip(started.value.ended), { startImmediately: true })
    const exit = ended.pollUnsafe()
    const why = exit !== undefined && Exit.isSuccess(exit) ? `${exit.value.why} ${exit.value.child}` : undefined
    assert.strictEqual(why, model.why)
  }
  model.shutdown()
  yield* Scope.close(scope, Exit.void)
  assert.deepStrictEqual(real.notes.lines, world.log)
})

it(`does what the model does, in ${SEQUENCES} random sequences (seed ${seed})`, async () => {
  await fc.assert(
    fc.asyncProperty(treeOf(2), fc.array(action, { maxLength: 20, size: "max" }), (bare, actions) =>
      Effect.runPromise(
        Effect.provide(Effect.scoped(scenario(named(bare, "s"), actions)), TestClock.layer({ warningDelay: "1 hour" }))
      )
    ),
    { numRuns: SEQUENCES, seed }
  )
}, 120_000)
