/**
 * A node that gives its tasks to agents as the Dispatcher does, without agents: what is handed to it first, then the heads of
 * the lanes as far as they are not left to the queue. What it did is counted.
 */
import { Effect, FiberSet, PubSub, type Scope, Semaphore, Stream } from "effect"
import type { Handing } from "../../src/task/Handing.ts"
import type { TaskLedger, TaskRecord } from "../../src/task/TaskLedger.ts"
import { done } from "../utils/Results.ts"

export interface Taker {
  readonly begun: Array<TaskRecord>
  /** Claims that were refused. */
  refused: number
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
    const it: Taker = { begun: [], refused: 0 }

    /** One that was free has been taken for it. */
    const begin = (id: string) =>
      ledger.claim(id, name).pipe(
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

    /** Of what was handed to it: nobody else goes for these, so that none need wait for another's claim. */
    const trying = new Set<string>()
    const tryHanded = (handing: Handing, id: string) =>
      Effect.gen(function* () {
        const task = yield* Effect.catchTag(ledger.get(id), "TaskUnknown", () => Effect.succeed(undefined))
        if (task?.state === "queued") yield* begin(id)
        else free++
        trying.delete(id)
        handing.tried(id)
      })

    const once = Effect.gen(function* () {
      const handing = ledger.here?.handing
      for (const id of handing?.handed() ?? []) {
        if (handing === undefined || trying.has(id)) continue
        if (free === 0) handing.tried(id)
        else {
          free--
          trying.add(id)
          yield* FiberSet.run(fibers, tryHanded(handing, id))
        }
      }
      for (let given = free > 0; given; ) {
        given = false
        for (const head of yield* ledger.heads()) {
          if (free === 0) break
          if (types.length > 0 && !types.includes(head.spec.type)) continue
          if (trying.has(head.id)) continue
          if ((handing?.leftFor(head) ?? 0) > 0) continue
          free--
          yield* begin(head.id)
          given = true
        }
      }
      handing?.want(Array.from({ length: free + trying.size }, () => types))
    })
    const look: Effect.Effect<void> = Effect.ignore(once.pipe(looking.withPermits(1)))
    const changes = Stream.merge(yield* ledger.changes, Stream.fromSubscription(yield* PubSub.subscribe(idled)))
    const others = ledger.here?.others === undefined ? Stream.never : yield* ledger.here.others.changes
    yield* Effect.forkScoped(
      Effect.andThen(
        look,
        Stream.runForEach(Stream.merge(changes, others), () => look)
      )
    )
    return it
  })
