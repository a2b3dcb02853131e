/**
 * Random histories of the ledger against the model, in each home: who asks out of turn, late reports, leases, parks,
 * cancellations, and crashes, after which the file is opened as the dead process has left it. `SEED` and `SEQUENCES` in the
 * environment repeat a failure and search longer.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Layer, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { TaskId } from "../../src/domain/Ids.ts"
import { noUsage } from "../../src/domain/Task.ts"
import { FILE } from "../../src/task/SqliteLedger.ts"
import { TaskLedger } from "../../src/task/TaskLedger.ts"
import type { TaskRecord } from "../../src/task/TaskRecord.ts"
import { tempDir } from "../utils/Binary.ts"
import { task } from "../utils/Specs.ts"
import { onWall } from "../utils/Wall.ts"
import { done, fault, sqliteIn as inFile, memoryWith } from "./Homes.ts"
import { type Answer, type Content, INTERRUPTIONS, inOrder, LedgerModel, type ModelTask } from "./LedgerModel.ts"

const SEQUENCES = Number(process.env["SEQUENCES"] ?? 300)
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31)
const sqliteIn = (dir: string) => inFile(dir, { bounds: { interruptions: INTERRUPTIONS } })
type Ledger = TaskLedger["Service"]

// --- what can happen --------------------------------------------------------------------------------------------------

const id = fc.constantFrom("a", "b", "c", "d", "e", "f")
/** Which attempt a report names, counted back from the one that is right. */
const behind = fc.constantFrom(0, 0, 0, 0, 1, -1)
const lease = fc.option(fc.constantFrom(100, 1_000), { nil: undefined, freq: 2 })
const content = fc.record({
  type: fc.constantFrom("x", "x", "y"),
  prompt: fc.constantFrom("p", "p", "p", "long ".repeat(500)),
  agent: fc.constantFrom(undefined, undefined, "one", "two"),
  needs: fc.constantFrom("", "", "", "g", "gr", "rg", "rgr"),
  priority: fc.constantFrom(0, 0, 0, 1, 2, -1, 10, -10),
  budget: fc.constantFrom(undefined, undefined, undefined, undefined, 5),
  label: fc.constantFrom(undefined, undefined, "one", "two"),
  delay: fc.constantFrom(0, 0, 0, 100, 600_000),
  often: fc.constantFrom(false, false, false, true),
  timeouts: fc.constantFrom({}, {}, {}, { queue: 70 }, { whole: 500 }, { queue: 3_000, whole: 5_000 }),
  after: fc.oneof(
    { weight: 2, arbitrary: fc.constant([]) },
    {
      weight: 1,
      arbitrary: fc.array(fc.record({ task: id, onFailure: fc.constantFrom("cancel" as const, "run" as const) }), {
        maxLength: 3
      })
    }
  )
})
/** Each waits for the one before it, which may come later in the batch. */
const chain = fc
  .tuple(
    fc.uniqueArray(id, { minLength: 3, maxLength: 5 }),
    content,
    fc.constantFrom("cancel" as const, "cancel" as const, "cancel" as const, "run" as const),
    fc.boolean()
  )
  .map(([ids, content, onFailure, reversed]): ReadonlyArray<readonly [string, Content]> => {
    const batch = ids.map((name, n) => {
      const before = n === 0 ? undefined : ids[n - 1]
      return [name, { ...content, after: before === undefined ? [] : [{ task: before, onFailure }] }] as const
    })
    return reversed ? batch.reverse() : batch
  })
const action = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("submit" as const), id, content, again: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("submitAll" as const),
      batch: fc.oneof<fc.Arbitrary<ReadonlyArray<readonly [string, Content]>>[]>(
        fc.array(fc.tuple(id, content), { minLength: 1, maxLength: 4 }),
        chain
      ),
      again: fc.boolean()
    })
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("resubmit" as const), id, again: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("claim" as const), id, lease }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("next" as const), lease }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("complete" as const),
      id,
      behind,
      how: fc.constantFrom("succeeded", "failed", "dead")
    })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("park" as const),
      id,
      behind,
      delay: fc.constantFrom(0, 100, 5_000),
      interrupted: fc.boolean()
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("renew" as const), id, behind, lease: fc.constantFrom(50, 2_000) })
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("finish" as const), good: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cancel" as const), id }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("replay" as const, "drop" as const), id }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      millis: fc.constantFrom(50, 100, 1_000, 10_000, 600_000, 1_300_000)
    })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("crash" as const) }) }
)
type Action = typeof action extends fc.Arbitrary<infer A> ? A : never
const history = fc.array(action, { maxLength: 40, size: "max" })

// --- the two side by side ---------------------------------------------------------------------------------------------

const spec = (
  name: string,
  { after, agent, budget, delay, label, needs, often, priority, prompt, timeouts, type }: Content
) => ({
  ...task({
    id: name,
    type,
    prompt,
    ...(needs === "" ? {} : { capabilities: [...needs] }),
    ...(agent === undefined ? {} : { agent })
  }),
  ...(priority === 0 ? {} : { priority }),
  ...(budget === undefined ? {} : { budget: { turns: budget } }),
  ...(label === undefined ? {} : { labels: { label } }),
  ...(Object.keys(timeouts).length === 0
    ? {}
    : { timeouts: Object.fromEntries(Object.entries(timeouts).map(([key, time]) => [key, `${time} millis`])) }),
  ...(often ? { schedule: "* * * * *" } : {}),
  ...(delay === 0 ? {} : { notBefore: `${delay} millis` }),
  ...(after.length === 0 ? {} : { after: after.map((edge) => ({ ...edge, task: TaskId.make(edge.task) })) })
})

const answer = <A, E extends { readonly _tag: string }>(asked: Effect.Effect<A, E>): Effect.Effect<string> =>
  Effect.map(Effect.result(asked), (result) => (Result.isSuccess(result) ? "ok" : result.failure._tag))

/** Does the action in both, and answers with what each said. */
const act = (
  ledger: Ledger,
  model: LedgerModel,
  what: Action,
  step: number
): Effect.Effect<readonly [string, Answer]> => {
  const both = <A, E extends { readonly _tag: string }>(asked: Effect.Effect<A, E>, expected: () => Answer) =>
    Effect.map(answer(asked), (said) => [said, expected()] as const)
  const attempt = "behind" in what ? (model.tasks.get(what.id)?.attempt ?? 1) - what.behind : 0
  const usage = { ...noUsage, turns: step }
  switch (what.do) {
    case "submit":
      return both(ledger.submit(spec(what.id, what.content), what), () =>
        model.submit([[what.id, what.content]], what.again)
      )
    case "submitAll":
      return both(
        ledger.submitAll(
          what.batch.map(([id, content]) => spec(id, content)),
          what
        ),
        () => model.submit(what.batch, what.again)
      )
    case "resubmit": {
      const known = model.tasks.get(what.id)
      if (known === undefined) return Effect.succeed(["ok", "ok"])
      return both(ledger.submit(spec(what.id, known), what), () => model.submit([[what.id, known]], what.again))
    }
    case "claim":
      return both(ledger.claim(what.id, "one", what.lease), () => model.claim(what.id, "one", what.lease))
    case "next": {
      const [head] = model.heads([])
      if (head === undefined) return Effect.succeed(["ok", "ok"])
      return both(ledger.claim(head, "two", what.lease), () => model.claim(head, "two", what.lease))
    }
    case "complete": {
      const good = what.how === "succeeded"
      const status = good ? "succeeded" : "failed"
      const result = done(what.id, { status, text: `text ${step}`, usage, fault: good ? undefined : fault })
      const end = what.how === "dead" ? ledger.giveUp : ledger.complete
      return both(end(what.id, attempt, result), () =>
        model.complete(what.id, attempt, what.how as "succeeded" | "failed" | "dead", result.text, step)
      )
    }
    case "replay":
      return both(ledger.replay(what.id), () => model.replay(what.id))
    case "drop":
      return both(ledger.drop(what.id), () => model.drop(what.id))
    case "finish": {
      const running = [...model.tasks.values()].findLast(({ state }) => state === "running")
      if (running === undefined) return Effect.succeed(["ok", "ok"])
      const end = what.good ? ledger.complete : ledger.giveUp
      const result = done(running.id, { status: what.good ? "succeeded" : "failed", text: "x", usage })
      return both(end(running.id, running.attempt, result), () =>
        model.complete(running.id, running.attempt, what.good ? "succeeded" : "dead", "x", step)
      )
    }
    case "park": {
      const until = model.now + what.delay
      return both(ledger.park(what.id, attempt, { until, fault, usage, interrupted: what.interrupted }), () =>
        model.park(what.id, attempt, until, step, what.interrupted)
      )
    }
    case "renew":
      return both(ledger.renew(what.id, attempt, what.lease), () => model.renew(what.id, attempt, what.lease))
    case "cancel":
      return both(ledger.cancel(what.id, "why"), () => model.cancel(what.id))
    case "wait":
      return Effect.map(TestClock.adjust(what.millis), () => {
        model.advance(what.millis)
        return ["ok", "ok"]
      })
    case "crash":
      return Effect.map(ledger.recover, () => {
        model.recover()
        return ["ok", "ok"] as const
      }).pipe(Effect.orDie)
  }
}

const view = (record: TaskRecord) => ({
  id: record.id,
  type: String(record.spec.type),
  prompt: record.spec.prompt,
  agent: record.spec.agent as string | undefined,
  needs: (record.spec.capabilities ?? []).join(""),
  priority: record.spec.priority ?? 0,
  often: record.spec.schedule !== undefined,
  occurs: record.occursAt,
  timeouts: Object.fromEntries(
    Object.entries(record.spec.timeouts ?? {}).map(([key, text]) => [key, Number(text.split(" ")[0])])
  ) as ModelTask["timeouts"],
  delay: Number(record.spec.notBefore?.split(" ")[0] ?? 0),
  budget: record.spec.budget?.turns,
  label: record.spec.labels?.["label"],
  after: (record.spec.after ?? []) as ModelTask["after"],
  state: record.state,
  attempt: record.attempt,
  before: record.before,
  interruptions: record.interruptions,
  holder: record.agent,
  due: record.dueAt,
  lease: record.leaseUntil,
  beginBy: record.beginBy,
  endBy: record.endBy,
  turns: record.usage.turns,
  text: record.result?.text
})

/** All that can be seen of a ledger. */
const seen = Effect.fnUntraced(function* (ledger: Ledger) {
  const records = yield* ledger.list({ limit: 1_000 })
  const tasks: Array<ReturnType<typeof view> & { readonly story: ReadonlyArray<string> }> = []
  for (const record of [...records].reverse()) {
    const story = (yield* ledger.history(record.id)).map(({ agent, ended }) => `${agent} ${ended ?? "…"}`)
    tasks.push({ ...view(record), story })
  }
  const some = ["a", "c", "e"]
  const names = (records: ReadonlyArray<TaskRecord>) => records.map(({ id }) => id)
  return {
    tasks,
    heads: names(yield* ledger.heads()),
    othersHeads: names(yield* ledger.heads(some)),
    interrupted: names(yield* ledger.interrupted(some))
  }
})

const expected = (model: LedgerModel) => ({
  tasks: [...model.tasks.values()].map(
    ({ place: _, since: __, submitted: ___, waits: ____, dropped: _____, ...task }) =>
      structuredClone({ ...task, needs: inOrder(task.needs) })
  ),
  heads: [...model.heads([])],
  othersHeads: [...model.heads(["a", "c", "e"])],
  interrupted: [...model.interrupted(["a", "c", "e"])]
})

/** Opens homes one after the other, each as the one before was left when it was cut off. */
interface Lives {
  readonly first: Effect.Effect<Ledger>
  readonly next: Effect.Effect<Ledger>
}

const scenario = Effect.fnUntraced(function* (lives: Lives, actions: ReadonlyArray<Action>) {
  const model = new LedgerModel()
  let ledger = yield* lives.first
  for (const [step, what] of actions.entries()) {
    if (what.do === "crash") ledger = yield* lives.next
    const [said, wanted] = yield* act(ledger, model, what, step + 1)
    assert.strictEqual(said, wanted, `${step}: ${JSON.stringify(what)}`)
    assert.deepEqual(yield* seen(ledger), expected(model), `after ${step}: ${JSON.stringify(what)}`)
  }
})

const opened = (scope: Scope.Scope, layer: Layer.Layer<TaskLedger, unknown>) =>
  Effect.map(Layer.buildWithScope(layer, scope), (context) => Context.get(context, TaskLedger)).pipe(Effect.orDie)

const inMemory = (scope: Scope.Scope): Lives => {
  let ledger: Ledger | undefined
  const first = Effect.tap(opened(scope, memoryWith(INTERRUPTIONS)), (it) => Effect.sync(() => (ledger = it)))
  return { first, next: Effect.suspend(() => (ledger === undefined ? first : Effect.succeed(ledger))) }
}

/** A crash leaves the file and its log as they are; the process that had them open never says good-bye to them. */
const inFiles = (root: string, scope: Scope.Scope): Lives => {
  let life = 0
  const dir = () => join(root, String(life))
  const open = Effect.suspend(() => opened(scope, Layer.fresh(sqliteIn(dir()))))
  return {
    first: Effect.suspend(() => {
      mkdirSync(dir())
      return open
    }),
    next: Effect.suspend(() => {
      const left = dir()
      life++
      mkdirSync(dir())
      for (const name of [FILE, `${FILE}-wal`])
        if (existsSync(join(left, name))) copyFileSync(join(left, name), join(dir(), name))
      return open
    })
  }
}

const onTestClock = (body: (scope: Scope.Scope) => Effect.Effect<void>) =>
  Effect.runPromise(
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const exit = yield* Effect.exit(body(scope))
      yield* Scope.close(scope, Exit.void)
      yield* exit
    }).pipe(Effect.provide(TestClock.layer({ warningDelay: "1 hour" })))
  )

it("does in memory what the model does, whatever happens", async () => {
  await fc.assert(
    fc.asyncProperty(history, (actions) => onTestClock((scope) => Effect.orDie(scenario(inMemory(scope), actions)))),
    { numRuns: SEQUENCES * 3, seed }
  )
}, 120_000)

it("does in a file what the model does, whatever happens, crashes too", async () => {
  await fc.assert(
    fc.asyncProperty(history, async (actions) => {
      using dir = tempDir()
      await onTestClock((scope) => Effect.orDie(scenario(inFiles(dir.path, scope), actions)))
    }),
    { numRuns: SEQUENCES, seed }
  )
}, 300_000)

/** Runs in which the log was put into the file on the way: what it was before cannot be known from it. */
let putIn = 0

it("cut off at any byte of its log, the file opens with all that had been answered, and nothing by half", async () => {
  await fc.assert(
    fc.asyncProperty(
      history,
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 5, maxLength: 5 }),
      async (actions, cuts) => {
        using dir = tempDir()
        await onTestClock((scope) =>
          Effect.gen(function* () {
            const log = join(dir.path, `${FILE}-wal`)
            const length = () => (existsSync(log) ? statSync(log).size : 0)
            const model = new LedgerModel()
            const ledger = yield* opened(scope, Layer.fresh(sqliteIn(dir.path)))
            const before = readFileSync(join(dir.path, FILE))
            // What was written when the log was so long.
            const moments = [
              { length: length(), state: expected(model), now: yield* Clock.currentTimeMillis, waited: false }
            ]
            for (const [step, what] of actions.entries()) {
              if (what.do === "crash") continue
              yield* act(ledger, model, what, step + 1)
              const now = yield* Clock.currentTimeMillis
              moments.push({ length: length(), state: expected(model), now, waited: what.do === "wait" })
            }
            const bytes = readFileSync(log)
            if (!readFileSync(join(dir.path, FILE)).equals(before)) return void putIn++
            const first = moments[0]?.length ?? 0
            for (const [n, cut] of cuts.entries()) {
              const anywhere = Math.round(first + cut * (bytes.length - first))
              const index = moments.findLastIndex(({ length }) => length <= anywhere)
              const moment = moments[index]
              // While time passes several things become due, one after the other: what is between is no moment of the model.
              const at = moments[index + 1]?.waited === true ? (moment?.length ?? first) : anywhere
              const copy = join(dir.path, `copy-${n}`)
              mkdirSync(copy)
              copyFileSync(join(dir.path, FILE), join(copy, FILE))
              writeFileSync(join(copy, `${FILE}-wal`), bytes.subarray(0, at))
              // As late as it was then: nothing more is due.
              const { clock, wall } = yield* onWall
              wall.off = (moment?.now ?? 0) - (yield* Clock.currentTimeMillis)
              const now = yield* Effect.provideService(opened(scope, Layer.fresh(sqliteIn(copy))), Clock.Clock, clock)
              assert.deepEqual((yield* seen(now)).tasks, moment?.state.tasks, `cut at ${at} of ${bytes.length}`)
            }
          }).pipe(Effect.orDie)
        )
      }
    ),
    { numRuns: Math.ceil(SEQUENCES / 3), seed }
  )
  assert.isBelow(putIn, SEQUENCES / 6)
}, 300_000)
