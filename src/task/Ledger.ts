/**
 * How the ledger moves, whatever its home: what may follow what, and who may report. The home (LedgerStore) only keeps; who
 * hears of a move is Transaction.ts, what moves by itself when its date has come Due.ts.
 */
import { Effect, PubSub, Stream } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import { report } from "../domain/Fault.ts"
import { TaskId } from "../domain/Ids.ts"
import { isFinal, type TaskResult, type TaskState } from "../domain/Task.ts"
import { accepting } from "./Accepting.ts"
import { adopting, withdrawing } from "./Adopting.ts"
import { interrupt, wasBrokenOff } from "./BrokenOff.ts"
import * as Due from "./Due.ts"
import type { Kept, LedgerStore } from "./LedgerStore.ts"
import { type Named, refuse, unfinished } from "./Move.ts"
import { canonical } from "./Needs.ts"
import { INTERRUPTIONS } from "./RetrySettings.ts"
import {
  AttemptAbandoned,
  AttemptSuperseded,
  type LedgerFull,
  TaskCancelled,
  type TaskConflict,
  TaskEnded,
  type TaskInvalid,
  TaskNotDead,
  TaskNotWaiting,
  TaskUnknown
} from "./TaskError.ts"
import type { SubmitOptions, TaskLedger } from "./TaskLedger.ts"
import type { Parking, Remains, TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"
import * as Transaction from "./Transaction.ts"

export const make = Effect.fnUntraced(function* (
  home: () => LedgerStore,
  kept: Kept,
  /** How often a task may be broken off (BrokenOff.ts). Read at each use: a reload may change it. */
  bounds: { readonly interruptions: number } = { interruptions: INTERRUPTIONS }
) {
  const random = yield* SecureRandom
  const store = home()
  const { shared } = store
  // Each needs the other. What is due before both are there is found at the first look.
  let due: Due.Due | undefined
  const transactions = yield* Transaction.make({
    store,
    kept,
    settled: Effect.suspend(() => due?.settled ?? Effect.void),
    dated: (at) => due?.dated(at)
  })
  const { ask, changed, transact, waiting } = transactions
  due = yield* Due.make({ store, bounds, transactions })
  transactions.count()
  shared?.listen(transactions.heard)

  const find = (id: string): TaskRecord => store.get(id) ?? refuse(new TaskUnknown({ task: id }))

  /** The task, if this attempt holds it. */
  const held = (id: string, attempt: number): TaskRecord => {
    const record = find(id)
    return record.attempt === attempt && record.state === "running"
      ? record
      : refuse(new AttemptSuperseded({ task: id, attempt, current: record.attempt }))
  }

  /** What is there already and fits `redo` is done once more. */
  const submitting = Effect.fn("TaskLedger.submitAll")(function* (
    specs: ReadonlyArray<TaskSpec>,
    redo: (record: TaskRecord) => boolean
  ) {
    const named: Array<Named> = []
    for (const spec of specs) {
      // Half a letter cannot be kept in every home.
      const prompt = spec.prompt.toWellFormed()
      named.push({ ...canonical(spec), prompt, id: spec.id ?? TaskId.make(yield* random.uuidV7()) })
    }
    return yield* transact<ReadonlyArray<TaskRecord>, TaskConflict | TaskInvalid | LedgerFull>(
      "submit",
      true,
      (now, move, accept) => accepting({ named, redo }, { store, now, open: transactions.open(), move, accept })
    )
  })

  /** What has not succeeded; an occurrence only where its series does not go on by itself. */
  const failedOnes = ({ series, state }: TaskRecord) =>
    isFinal(state) && state !== "succeeded" && (series === undefined || store.openOf(series).length === 0)

  const submitAll = (specs: ReadonlyArray<TaskSpec>, { again = false, brokenOff = true }: SubmitOptions = {}) =>
    submitting(specs, (record) => again && failedOnes(record) && (brokenOff || !wasBrokenOff(record)))

  const end = (id: string, attempt: number, to: TaskState, result: TaskResult, remains?: Remains) =>
    transact<void, TaskUnknown | AttemptSuperseded>("complete", true, (now, move) => {
      const { fault, usage } = result
      move(held(id, attempt), to, { result, usage, lastFault: fault, endedAt: now }, fault, remains)
    })

  const dead = (id: string): TaskRecord => {
    const record = find(id)
    return record.state === "dead" ? record : refuse(new TaskNotDead({ task: id, state: record.state }))
  }

  const service: TaskLedger["Service"] = {
    submit: (spec, options) => Effect.map(submitAll([spec], options), ([record]) => record as TaskRecord),
    submitAll,
    // Should the machine go down at once, nobody is left who could have seen this attempt.
    claim: Effect.fn("TaskLedger.claim")((id, agent, lease) =>
      transact("claim", false, (now, move) => {
        const record = find(id)
        const attempt = record.attempt + 1
        if (record.state !== "queued")
          return refuse(new AttemptSuperseded({ task: id, attempt, current: record.attempt }))
        return move(record, "running", {
          agent,
          ...(shared === undefined ? {} : { node: shared.node }),
          attempt,
          startedAt: record.startedAt ?? now,
          leaseUntil: lease === undefined ? undefined : now + lease
        })
      })
    ),
    renew: Effect.fn("TaskLedger.renew")(function* (id, attempt, lease) {
      const until = yield* transact<number, TaskUnknown | AttemptSuperseded>("renew", false, (now) => {
        store.update({ ...held(id, attempt), leaseUntil: now + lease }, "running", now)
        return now + lease
      })
      due?.dated(until)
    }),
    complete: Effect.fn("TaskLedger.complete")((id, attempt, result, remains) =>
      end(id, attempt, result.status, result, remains)
    ),
    giveUp: Effect.fn("TaskLedger.giveUp")((id, attempt, result, remains) => end(id, attempt, "dead", result, remains)),
    park: Effect.fn("TaskLedger.park")((id: string, attempt: number, why: Parking) =>
      transact("park", true, (now, move) => {
        const { fault, interrupted = false, until, usage } = why
        if (interrupted) return void interrupt(held(id, attempt), why, bounds.interruptions, now, move)
        const given = { lastFault: fault, usage }
        if (until <= now) move(held(id, attempt), "queued", given, fault, why)
        else move(held(id, attempt), "parked", { ...given, dueAt: until }, fault, why)
      })
    ),
    awaitPerson: Effect.fn("TaskLedger.awaitPerson")((id, attempt, why) =>
      transact("park", true, (_now, move) => {
        const { fault, usage } = why
        const record = held(id, attempt)
        move(record, "waiting", { lastFault: fault, usage, interruptions: record.interruptions + 1 }, fault, why)
      })
    ),
    answered: Effect.fn("TaskLedger.answered")((id) =>
      transact<TaskRecord, TaskUnknown | TaskNotWaiting>("park", true, (_now, move) => {
        const record = find(id)
        if (record.state !== "waiting") return refuse(new TaskNotWaiting({ task: id, state: record.state }))
        return move(record, "queued")
      })
    ),
    adopt: Effect.fn("TaskLedger.adopt")((adoptee) =>
      transact(
        "submit",
        true,
        (now, move, _accept, moved) => adopting(adoptee, { store, now, move, moved }),
        adoptee.record.id
      )
    ),
    withdraw: Effect.fn("TaskLedger.withdraw")((id) =>
      Effect.tap(
        transact("cancel", true, (now) => withdrawing(store, id, now)),
        () => Effect.sync(transactions.count)
      )
    ),
    cancel: Effect.fn("TaskLedger.cancel")((id, why) =>
      transact("cancel", true, (now, move) => {
        const record = find(id)
        if (isFinal(record.state)) return refuse(new TaskEnded({ task: id, state: record.state }))
        const cancel = (one: TaskRecord) => {
          const fault = report(new TaskCancelled({ task: one.id, why }))
          const result = unfinished(one, fault, now)
          return move(one, "cancelled", { result, lastFault: fault, endedAt: now }, fault)
        }
        const answer = cancel(record)
        // A series ends as a whole.
        if (record.series !== undefined) for (const other of store.openOf(record.series)) cancel(other)
        return answer
      })
    ),
    replay: Effect.fn("TaskLedger.replay")(function* (id) {
      const { spec } = yield* ask<TaskRecord, TaskUnknown | TaskNotDead>(() => dead(id))
      const [record] = yield* submitting([spec], ({ state }) => state === "dead")
      return record as TaskRecord
    }),
    drop: Effect.fn("TaskLedger.drop")((id) =>
      transact<TaskRecord, TaskUnknown | TaskNotDead>("cancel", true, (now, move) => {
        const fault = report(new TaskCancelled({ task: id, why: "it was dropped from the dead letters" }))
        return move(dead(id), "cancelled", { lastFault: fault, endedAt: now })
      })
    ),
    recover: transact("recover", true, (now, move) =>
      store.unleased().map((record) => {
        const fault = report(new AttemptAbandoned({ task: record.id, attempt: record.attempt }))
        return interrupt(record, { fault }, bounds.interruptions, now, move)
      })
    ),
    get: (id) => ask(() => find(id)),
    history: (id) =>
      ask(() => {
        find(id)
        return store.history(id)
      }),
    list: (filter = {}) => ask(() => store.list(filter)),
    openOf: (series) => ask(() => store.openOf(series)),
    heads: (passOver = []) => ask(() => store.heads(passOver)),
    interrupted: (ids) => (ids.length === 0 ? Effect.succeed([]) : ask(() => store.interrupted(ids))),
    // Asked and waited for in one go: an end between the two would not be heard.
    result: (id) =>
      Effect.flatten(
        ask<Effect.Effect<TaskResult>, TaskUnknown>(() => {
          const { result } = find(id)
          return result === undefined ? waiting.result(id) : Effect.succeed(result)
        })
      ),
    released: (id, attempt) => waiting.released(id, attempt),
    changes: Effect.map(PubSub.subscribe(changed), Stream.fromSubscription),
    ...(shared === undefined
      ? {}
      : { here: { node: shared.node, shared: true, lastNode: (id: string) => store.get(id)?.node } })
  }
  return service
})
