/**
 * What is due, done when it is due: a parked task is queued again, one whose time is up fails, and one whose lease has run
 * out is another's. In a shared home nobody is to see it undone, and doing it takes a while: who asks waits for it.
 */
import { Clock, Deferred, Effect } from "effect"
import { report } from "../domain/Fault.ts"
import { isFinal } from "../domain/Task.ts"
import { inModule } from "../observability/Log.ts"
import * as Alarm from "./Alarm.ts"
import { interrupt } from "./BrokenOff.ts"
import type { LedgerStore } from "./LedgerStore.ts"
import { refuse, unfinished } from "./Move.ts"
import { LeaseExpired, type LedgerUnusable, TaskUnknown } from "./TaskError.ts"
import { overdue } from "./Timeouts.ts"
import type { Transactions } from "./Transaction.ts"

/** Due tasks that are moved in one transaction. */
const BATCH = 100
/** When a home that could not be asked is asked again, in milliseconds. */
const AGAIN = 5_000

export interface Due {
  /** Completes when what is due in a shared home has been done. */
  readonly settled: Effect.Effect<void>
  /** Something will be due then. */
  readonly dated: (at: number) => void
}

export interface Options {
  readonly store: LedgerStore
  /** How often a task may be broken off (BrokenOff.ts). Read at each use: a reload may change it. */
  readonly bounds: { readonly interruptions: number }
  readonly transactions: Pick<Transactions, "transact" | "askAt">
}

export const make = Effect.fnUntraced(function* ({ bounds, store, transactions: { askAt, transact } }: Options) {
  const { shared } = store
  /** Complete when what is being done is done. */
  let ringing: Deferred.Deferred<void> | undefined

  /** The time at the last look. None yet: an earlier life may have had a clock that was ahead. */
  let looked = Number.POSITIVE_INFINITY
  /** Answers with how many it has moved. */
  const due = transact<number>("due", false, (now, move) => {
    let moves = 0
    // A pause of seconds must not take a day because the clock was put right.
    if (now < looked) store.setBack(now)
    looked = now
    for (const { id } of store.due(now, shared === undefined ? BATCH : 1)) {
      // The end of one may have been the end of others.
      const record = store.get(id) ?? refuse(new TaskUnknown({ task: id }))
      const { attempt, dueAt = Number.POSITIVE_INFINITY, leaseUntil = Number.POSITIVE_INFINITY, state } = record
      const late = isFinal(state) ? undefined : overdue(record, now)
      moves++
      if (late !== undefined) {
        move(record, "failed", { result: unfinished(record, late, now), lastFault: late, endedAt: now }, late)
      } else if (state === "parked" && dueAt <= now) move(record, "queued")
      else if (state === "running" && leaseUntil <= now)
        interrupt(record, { fault: report(new LeaseExpired({ task: id, attempt })) }, bounds.interruptions, now, move)
      else moves--
    }
    return moves
  })

  const dueInTurn = Effect.gen(function* () {
    while ((yield* due) > 0);
  })

  /** In a shared home one by one: they have nothing to do with each other, and each may be somebody else's. */
  const allDue: Effect.Effect<unknown, LedgerUnusable> =
    shared === undefined
      ? due
      : Effect.suspend(() => {
          if (ringing !== undefined) return Deferred.await(ringing)
          const over = Deferred.makeUnsafe<void>()
          ringing = over
          return Effect.ensuring(
            dueInTurn,
            Effect.sync(() => {
              ringing = undefined
              Deferred.doneUnsafe(over, Effect.void)
            })
          )
        })

  const alarm = yield* Alarm.make(
    allDue.pipe(
      Effect.flatMap(() => askAt(() => store.nextDue())),
      Effect.catch((error) =>
        // That there is no connection others say.
        (store.shared?.reachable() === false ? Effect.void : inModule("task")(Effect.logError(error.message))).pipe(
          Effect.andThen(Clock.currentTimeMillis),
          Effect.map((now) => now + AGAIN)
        )
      )
    )
  )

  const settled: Effect.Effect<void> = Effect.suspend(() => {
    if (shared?.reachable() !== true) return Effect.void
    if (ringing !== undefined) return Effect.andThen(Deferred.await(ringing), settled)
    return Effect.flatMap(Clock.currentTimeMillis, (now) =>
      (store.nextDue() ?? Number.POSITIVE_INFINITY) > now ? Effect.void : Effect.ignore(allDue)
    )
  })

  const answer: Due = { settled, dated: alarm.set }
  return answer
})
