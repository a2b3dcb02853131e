/**
 * A node that gives its tasks to agents as the Dispatcher does, without agents: what is handed to it first, then the heads of
 * the lanes as far as they are not left to the queue. What it did is counted.
 */
import { Effect, FiberSet, PubSub, type Scope, Semaphore, Stream } from "effect"
import type { Handing } from "../../src/task/Handing.ts"
import type { LedgerUnusable } from "../../src/task/TaskError.ts"
import type { TaskLedger, TaskRecord } from "../../src/task/TaskLedger.ts"
import { done } from "./Homes.ts"

export interface Taker {
  readonly begun: Array<TaskRecord>
  /** Claims that were refused. */
  refused: number
  /** Takes no more. */
  full: boolean
  readonly look: Effect.Effect<void>
}

export const taker = (
  ledger: TaskLedger["Service"],
  {
    name = "agent",
    slots,
    types = [],
    work = (record: TaskRecord) => ledger.complete(record.id, record.attempt, done(record.id))
  }: {
    readonly name?: string
    readonly slots: number
    readonly types?: ReadonlyArray<string>
    readonly work?: (record: TaskRecord) => Effect.Effect<unknown, unknown>
  }
): Effect.Effect<Taker, never, Scope.Scope> =>
  Effect.gen(function* () {
    const fibers = yield* FiberSet.make()
    const idled = yield* PubSub.sliding<void>(1)
    const looking = yield* Semaphore.make(1)
    let free = slots
    const it: Taker = { begun: [], refused: 0, full: false, look: Effect.void }

    const begin = ({ id }: TaskRecord) =>
      Effect.suspend(() => {
        free--
        return ledger.claim(id, name)
      }).pipe(
        Effect.flatMap((claimed) => {
          it.begun.push(claimed)
          const ended = Effect.andThen(
            Effect.ignore(work(claimed)),
            Effect.suspend(() => {
              free++
              return PubSub.publish(idled, undefined)
            })
          )
          return FiberSet.run(fibers, ended)
        }),
        Effect.catchTag(["AttemptSuperseded", "TaskUnknown"], () =>
          Effect.sync(() => {
            free++
            it.refused++
          })
        )
      )

    const tryHanded = (handing: Handing, id: string) =>
      Effect.gen(function* () {
        const task = yield* Effect.catchTag(ledger.get(id), "TaskUnknown", () => Effect.succeed(undefined))
        if (task?.state === "queued" && free > 0) yield* begin(task)
        handing.tried(id)
      })

    const once = Effect.gen(function* () {
      const handing = ledger.here?.handing
      // Nobody else goes for these: none need wait for another's claim.
      if (handing !== undefined)
        yield* Effect.forEach(handing.handed(), (id) => tryHanded(handing, id), {
          concurrency: "unbounded",
          discard: true
        })
      for (let given = free > 0; given; ) {
        given = false
        for (const head of yield* ledger.heads()) {
          if (free === 0) break
          if (types.length > 0 && !types.includes(head.spec.type)) continue
          if ((handing?.leftFor(head) ?? 0) > 0) continue
          yield* begin(head)
          given = true
        }
      }
      handing?.want(it.full ? [] : Array.from({ length: free }, () => types))
    })
    const look: Effect.Effect<void> = Effect.ignore(
      Effect.suspend((): Effect.Effect<void, LedgerUnusable> => (it.full ? Effect.void : once)).pipe(
        looking.withPermits(1)
      )
    )
    const changes = Stream.merge(yield* ledger.changes, Stream.fromSubscription(yield* PubSub.subscribe(idled)))
    const others = ledger.here?.others === undefined ? Stream.never : yield* ledger.here.others.changes
    yield* Effect.forkScoped(
      Effect.andThen(
        look,
        Stream.runForEach(Stream.merge(changes, others), () => look)
      )
    )
    return Object.assign(it, { look })
  })
