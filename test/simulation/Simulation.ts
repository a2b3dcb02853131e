/**
 * A whole node, from dispatcher to ledger, on a test clock in a world that goes wrong: it is given tasks, operated, killed
 * at any point and started again, until all is done. The same seed is the same story.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Cause, Clock, Context, Effect, Exit, type Fiber, Layer, Logger, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { Config } from "../../src/config/Config.ts"
import * as Load from "../../src/config/Load.ts"
import { isFinal } from "../../src/domain/Task.ts"
import { EventBus } from "../../src/event/EventBus.ts"
import { MisterSmith } from "../../src/MisterSmith.ts"
import type { TaskLedger } from "../../src/task/TaskLedger.ts"
import { outside } from "./Outside.ts"
import { World } from "./World.ts"

export interface Story {
  readonly seed: number
  readonly violations: ReadonlyArray<string>
  readonly trace: ReadonlyArray<string>
  readonly counts: Readonly<Record<string, number>>
}

const DAY = 24 * 60 * 60_000
const LIVES = 4
/** So long after the last fault all must be done. */
const PATIENCE = 12 * 60 * 60_000

export const simulate = (seed: number): Effect.Effect<Story> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const context = yield* Effect.context<never>()
    const world = new World(seed)
    world.now = () => clock.currentTimeMillisUnsafe()
    const dir = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "simulation-"))
    yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(dir, { recursive: true, force: true })))
    const config = yield* Effect.orDie(configOf(world, dir))
    const acknowledged = new Set<string>()
    let done = false
    while (!done && world.violations.length === 0)
      done = yield* live({ world, dir, config, context, clock, acknowledged })
    return { seed, violations: world.violations, trace: world.trace, counts: world.counts }
  }).pipe(
    Effect.scoped,
    Effect.provide(Logger.layer([])),
    Effect.provide(TestClock.layer({ warningDelay: "1 minute" }))
  )

const configOf = ({ dice }: World, dir: string) =>
  Load.make(
    {
      dataDir: dir,
      claude: { command: "/bin/sh" },
      supervision: {
        strategy: dice.pick(["one_for_one", "one_for_all", "rest_for_one"]),
        maxRestarts: dice.pick([3, 100])
      },
      retry: { attempts: dice.between(1, 4), delay: dice.pick(["0 seconds", "5 seconds"]) },
      agents: Array.from({ length: dice.between(1, 3) }, (_, index) => ({
        id: `a${index}`,
        replicas: dice.between(1, 2),
        session: dice.pick(["per_task", "keep"]),
        limits: { taskTime: "2 minutes", silence: "1 minute" }
      }))
    },
    { baseDir: dir, env: {} }
  )

interface Life {
  readonly world: World
  readonly dir: string
  readonly config: Config
  readonly context: Context.Context<never>
  readonly clock: Clock.Clock
  readonly acknowledged: Set<string>
}

/** One life of the runtime. Is all done at its end? */
const live = Effect.fnUntraced(function* (input: Life) {
  const { acknowledged, clock, config, context, dir, world } = input
  const { dice } = world
  const life = ++world.life
  world.killed = undefined
  world.faults = life < LIVES
  if (!world.faults) world.skew = 0
  world.note(`life ${life}`)
  const scope = yield* Scope.make()
  const node = yield* Effect.forkIn(
    Effect.gen(function* () {
      const services = yield* Layer.build(
        MisterSmith.layerOn(config).pipe(
          Layer.provideMerge(outside(world, dir, context, clock)),
          Layer.provideMerge(EventBus.layer)
        )
      )
      yield* listen(world, life, services)
      return services
    }).pipe(Scope.provide(scope), Effect.provideService(Clock.Clock, clock)),
    scope
  )
  yield* turn(0)
  const exit = node.pollUnsafe()
  if (exit === undefined) yield* turn(1_000)
  const built = node.pollUnsafe()
  let done = false
  if (built !== undefined && Exit.isSuccess(built)) {
    const services = built.value
    const smith = Context.get(services, MisterSmith)
    const background = yield* Scope.make()
    const act = (effect: Effect.Effect<unknown, unknown>) => Effect.forkIn(Effect.exit(effect), background)
    const ended = yield* act(smith.ended)
    const isUp = () => world.killed === undefined && ended.pollUnsafe() === undefined
    if (world.faults) {
      for (let steps = dice.between(5, 40); steps > 0 && isUp(); steps--) {
        yield* act(operate(world, smith, acknowledged))
        yield* turn(dice.pick([0, 1, 100, 1_000, 5_000, 20_000]))
      }
      if (isUp() && dice.chance(0.7)) world.kill("at any time")
    } else done = yield* finish(input, services, isUp, act)
    yield* Effect.forkIn(Scope.close(background, Exit.void), scope)
  } else if (built !== undefined && world.killed === undefined && !world.faults) {
    world.violated(`does not start: ${Cause.pretty(built.cause)}`)
  }
  world.note(`life ${life} is closed`)
  const closing = yield* Effect.forkDetach(Effect.exit(Scope.close(scope, Exit.void)))
  for (let waited = 0; closing.pollUnsafe() === undefined; waited++) {
    if (waited > 120) {
      world.violated("does not come down within two minutes")
      return true
    }
    yield* turn(1_000)
  }
  if (world.killed === undefined && world.clis.size > 0)
    world.violated(`left alive: ${[...world.clis].map(({ pid }) => pid).join(", ")}`)
  for (const cli of [...world.clis]) cli.die(null, "SIGKILL")
  return done
})

/** Time passes; what runs comes to rest. */
const turn = (millis: number) => TestClock.adjust(millis)

/** Each end of a task is told once. */
const listen = Effect.fnUntraced(function* (world: World, life: number, services: Context.Context<EventBus>) {
  const final = new Set<string>()
  const events = yield* Context.get(services, EventBus).subscribe
  yield* Stream.runForEach(events, (event) =>
    Effect.sync(() => {
      if (!world.isAlive(life) || event.type !== "task.state") return
      world.note(`task ${event.task}: ${event.from} to ${event.to}, attempt ${event.attempt}, ${event.agent}`)
      if (isFinal(event.to)) {
        if (final.has(event.task)) world.violated(`task ${event.task} has ended twice`)
        final.add(event.task)
      } else final.delete(event.task)
    })
  ).pipe(Effect.forkScoped({ startImmediately: true }))
})

/** What an operator may do at any moment. */
const operate = (world: World, smith: MisterSmith["Service"], acknowledged: Set<string>) =>
  Effect.gen(function* () {
    const { dice } = world
    const life = world.life
    const agents = (yield* smith.agents).map(({ id }) => id)
    const agent = dice.pick(agents)
    const what = dice.next()
    if (what < 0.45) {
      const ids = Array.from({ length: dice.between(1, 3) }, () => `t${dice.between(0, 30)}`)
      const before = [...acknowledged]
      const tasks = [...new Set(ids)].map((id) => ({
        id,
        prompt: `do task ${id}`,
        ...(acknowledged.has(id) || before.length === 0 || !dice.chance(0.2)
          ? {}
          : { after: [{ task: dice.pick(before), onFailure: dice.pick(["run", "cancel"] as const) }] }),
        ...(dice.chance(0.2) ? { priority: dice.between(-10, 10) } : {}),
        ...(dice.chance(0.1) ? { notBefore: "1 minute" } : {})
      }))
      world.note(`submit ${tasks.map(({ id }) => id).join(" ")}`)
      yield* smith.submitAll(tasks)
      // An answer that a dead node gives is heard by nobody.
      if (world.isAlive(life)) for (const { id } of tasks) acknowledged.add(id)
      world.count("submits")
    } else if (what < 0.52) {
      const id = dice.pick([...acknowledged, "t0"])
      world.note(`cancel ${id}`)
      yield* smith.cancel(id)
    } else if (what < 0.57) {
      const id = dice.pick([...acknowledged, "t0"])
      world.note(`again ${id}`)
      const { spec } = yield* smith.task(id)
      yield* smith.submit(spec, { again: true })
    } else if (what < 0.62) yield* named(world, `stop ${agent}`, smith.stopAgent(agent))
    else if (what < 0.68) yield* named(world, `start ${agent}`, smith.startAgent(agent))
    else if (what < 0.74) yield* named(world, `restart ${agent}`, smith.restartAgent(agent))
    else if (what < 0.79) yield* named(world, `pause ${agent}`, smith.pauseAgent(agent))
    else if (what < 0.85) yield* named(world, `resume ${agent}`, smith.resumeAgent(agent))
    else if (what < 0.9 && world.clis.size > 0) {
      const cli = dice.pick([...world.clis])
      world.note(`somebody kills cli ${cli.pid}`)
      cli.die(null, "SIGKILL")
    } else if (what < 0.94) {
      world.skew += dice.pick([-DAY, DAY, -3_600_000, 3_600_000])
      world.note(`the clock is ${world.skew} wrong`)
      world.count("clock jumps")
    }
  })

const named = <A, E>(world: World, what: string, effect: Effect.Effect<A, E>) =>
  Effect.andThen(
    Effect.sync(() => world.note(what)),
    effect
  )

/** Nothing goes wrong any more: everything accepted ends, and the books are in order. */
const finish = Effect.fnUntraced(function* (
  { acknowledged, world }: Life,
  services: Context.Context<MisterSmith | TaskLedger>,
  isUp: () => boolean,
  act: (effect: Effect.Effect<unknown, unknown>) => Effect.Effect<Fiber.Fiber<unknown>>
) {
  const smith = Context.get(services, MisterSmith)
  for (const { id } of yield* smith.agents) {
    yield* act(smith.resumeAgent(id))
    yield* act(smith.startAgent(id))
  }
  const open = Effect.map(Effect.orDie(smith.tasks), (tasks) => tasks.filter(({ state }) => !isFinal(state)))
  for (let waited = 0; isUp() && (yield* open).length > 0; waited += 10_000) {
    if (waited > PATIENCE) {
      const stuck = (yield* open).map(({ attempt, dueAt, id, state }) => `${id} ${state} ${attempt} ${dueAt ?? ""}`)
      world.violated(`not done after ${PATIENCE / 3_600_000} hours: ${stuck.join(", ")}`)
      const agents = (yield* smith.agents).map(({ id, state }) => `${id} ${state}`)
      world.note(agents.join(", "))
      return true
    }
    yield* turn(waited < 600_000 ? 10_000 : 60_000)
  }
  if (!isUp()) return false
  const tasks = new Map((yield* Effect.orDie(smith.tasks)).map((task) => [task.id, task]))
  for (const id of acknowledged) if (!tasks.has(id)) world.violated(`task ${id} was acknowledged and is lost`)
  for (const { attempt, before, endedAt, id, result, state } of tasks.values()) {
    world.count(state)
    if (result === undefined || endedAt === undefined) world.violated(`task ${id} is ${state} without a result`)
    if (state === "succeeded" && result?.text !== `did ${id}`)
      world.violated(`task ${id} has succeeded with "${result?.text}"`)
    if (state === "succeeded" && !world.said.has(id)) world.violated(`task ${id} has succeeded and nobody did it`)
    if (state !== "succeeded" && result?.fault === undefined) world.violated(`task ${id} is ${state} without a reason`)
    if (before > attempt) world.violated(`task ${id} counts ${before} of ${attempt} attempts as before`)
    const attempts = yield* Effect.orDie(smith.attempts(id))
    const numbers = attempts.map((it) => it.attempt)
    if (numbers.some((number, index) => number !== (numbers[0] ?? 1) + index) || (numbers.at(-1) ?? 0) !== attempt)
      world.violated(`task ${id} has the attempts ${numbers.join(" ")} of ${attempt}`)
    for (const it of attempts) {
      if (it.endedAt === undefined || it.ended === undefined)
        world.violated(`attempt ${it.attempt} at ${id} has no end, and the task is ${state}`)
    }
  }
  return true
})
