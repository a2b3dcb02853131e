/**
 * One transaction of the ledger, whatever its home: what is moved in it is written together or not at all, and told once it
 * is written, whatever interrupts the teller. What may follow what is left to who works in it; what else is asked goes by
 * here too, so that it sees what is due done.
 */
import { Clock, Effect, PubSub } from "effect"
import { isFinal } from "../domain/Task.ts"
import { EventBus } from "../event/EventBus.ts"
import { crashPoint, type LedgerStep } from "../state/CrashPoint.ts"
import type { Kept, LedgerStore } from "./LedgerStore.ts"
import { type Move, type Moved, mover, Refusal } from "./Move.ts"
import type { LedgerUnusable } from "./TaskError.ts"
import { nextDate, type TaskRecord } from "./TaskRecord.ts"
import { telling } from "./Waiters.ts"
import { Waiting } from "./Waiting.ts"

/** One transaction's view. What it refuses it throws, before it has written anything. */
export type Work<A> = (now: number, move: Move, accept: (record: TaskRecord) => TaskRecord, moved: Array<Moved>) => A

export interface Transactions {
  /** `E` is what `work` may refuse. Of the task `quiet` it was told elsewhere. */
  transact<A, E = never>(
    step: LedgerStep,
    durable: boolean,
    work: Work<A>,
    quiet?: string
  ): Effect.Effect<A, E | LedgerUnusable>
  /** What is known. In a shared home what is not known here may be there all the same. */
  ask<A, E = never>(question: () => A): Effect.Effect<A, E | LedgerUnusable>
  /** The same, of what is known here and as it is now. */
  askAt<A, E = never>(question: () => A): Effect.Effect<A, E | LedgerUnusable>
  /** A move that was made elsewhere. */
  heard(moved: Moved): void
  /** How many have not ended. */
  readonly open: () => number
  /** It may have changed otherwise. */
  count(): void
  readonly waiting: Waiting
  readonly changed: PubSub.PubSub<void>
}

export interface Options {
  readonly store: LedgerStore
  readonly kept: Kept
  /** What is due is done before this. */
  readonly settled: Effect.Effect<void>
  /** Something will be due then. */
  readonly dated: (at: number) => void
}

export const make = Effect.fnUntraced(function* ({ dated, kept, settled, store }: Options) {
  const bus = yield* EventBus
  const changed = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)
  const waiting = new Waiting()
  const { shared } = store
  let open = store.open()

  const settledFor = (step: LedgerStep) =>
    shared === undefined || step === "due" ? Clock.Clock : Effect.andThen(settled, Clock.Clock)
  const transact = <A, E = never>(
    step: LedgerStep,
    durable: boolean,
    work: Work<A>,
    quiet?: string
  ): Effect.Effect<A, E | LedgerUnusable> =>
    Effect.uninterruptible(
      Effect.flatMap(settledFor(step), (clock) => {
        const moved: Array<Moved> = []
        let now = 0
        const accept = (record: TaskRecord) => {
          store.insert(record, now)
          moved.push({ from: undefined, record })
          return record
        }
        const once = () => {
          // It may be the second time, and seconds later: nothing begins before what it follows has ended.
          moved.length = 0
          now = clock.currentTimeMillisUnsafe()
          const done = work(now, telling(store, now, moved, mover(store, now, moved), accept), accept, moved)
          crashPoint(`ledger.${step}.within`)
          return done
        }
        const written = (answer: A) => {
          crashPoint(`ledger.${step}.written`)
          return moved.length === 0 ? Effect.succeed(answer) : Effect.as(told(step, moved, quiet), answer)
        }
        const failed = (error: unknown) =>
          Effect.fail(error instanceof Refusal ? (error.error as E) : store.unusable(error))
        try {
          crashPoint(`ledger.${step}.before`)
          if (shared === undefined) return written(store.transact(durable, once))
          return shared.transact(once).pipe(Effect.matchEffect({ onFailure: failed, onSuccess: written }))
        } catch (error) {
          return failed(error)
        }
      })
    )

  const note = ({ from, record }: Moved) => {
    // In a shared home another move may have followed already, and what is heard of may be an own one.
    const { attempt, id, result, state } = shared === undefined ? record : (store.get(record.id) ?? record)
    const was = from !== undefined && !isFinal(from)
    open = shared === undefined ? open + Number(!isFinal(state)) - Number(was) : store.open()
    if (state === "running") waiting.held(id, attempt)
    else waiting.letGo(id)
    if (result !== undefined) waiting.ended(id, result)
    const at = nextDate(record)
    if (at !== undefined) dated(at)
  }

  /** After it is written, and before anybody else can have written. */
  const announce = (moved: ReadonlyArray<Moved>, quiet: string | undefined) => {
    let ended = false
    for (const each of moved) {
      note(each)
      ended ||= isFinal(each.record.state)
    }
    const loud = quiet === undefined ? moved : moved.filter(({ record }) => record.id !== quiet)
    const told =
      loud.length === 1 && loud[0] !== undefined ? tell(loud[0]) : Effect.forEach(loud, tell, { discard: true })
    return Effect.andThen(ended ? Effect.andThen(told, forget) : told, PubSub.publish(changed, undefined))
  }

  const told = (step: LedgerStep, moved: ReadonlyArray<Moved>, quiet: string | undefined) =>
    Effect.map(announce(moved, quiet), () => crashPoint(`ledger.${step}.told`))

  const tell = ({ from, record }: Moved) =>
    bus.publish({
      type: "task.state",
      task: record.id,
      from,
      to: record.state,
      attempt: record.attempt,
      agent: record.agent,
      ...(record.node === undefined ? {} : { node: record.node }),
      reason: from === "parked" && record.state === "queued" ? undefined : record.lastFault,
      dueAt: record.state === "parked" ? record.dueAt : undefined,
      ...(record.spec.traceparent === undefined ? {} : { traceparent: record.spec.traceparent })
    })

  // What is kept too long does no harm, and is looked at again at the next end.
  const forget = Effect.sync(() => {
    try {
      crashPoint("ledger.forget.before")
      store.forget(kept)
    } catch {}
  })

  const askAt = <A, E = never>(question: () => A) =>
    Effect.suspend(() => {
      try {
        return Effect.succeed(question())
      } catch (error) {
        return Effect.fail(error instanceof Refusal ? (error.error as E) : store.unusable(error))
      }
    })

  /** In a shared home what is not known here may be there all the same. */
  const ask = <A, E = never>(question: () => A) => {
    const asked = askAt<A, E>(question)
    if (shared === undefined) return asked
    return Effect.andThen(
      settled,
      Effect.catch(asked, () => Effect.andThen(shared.refresh, asked))
    )
  }
  const transactions: Transactions = {
    transact,
    ask,
    askAt,
    heard: (moved) => {
      note(moved)
      PubSub.publishUnsafe(changed, undefined)
    },
    open: () => open,
    count: () => {
      open = store.open()
    },
    waiting,
    changed
  }
  return transactions
})
