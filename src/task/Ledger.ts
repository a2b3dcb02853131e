/**
 * How the ledger moves, whatever its home: what may follow what, who may report, who hears of it. The home (LedgerStore)
 * only keeps. A move is one transaction; only what is written is told, and it is told whatever interrupts the teller.
 */
import { Clock, Deferred, Effect, PubSub, Stream } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import { report } from "../domain/Fault.ts"
import { TaskId } from "../domain/Ids.ts"
import { isFinal, type TaskResult, type TaskState } from "../domain/Task.ts"
import { EventBus } from "../event/EventBus.ts"
import { inModule } from "../observability/Log.ts"
import { crashPoint, type LedgerStep } from "../state/CrashPoint.ts"
import { accepting } from "./Accepting.ts"
import { adopting, withdrawing } from "./Adopting.ts"
import * as Alarm from "./Alarm.ts"
import { interrupt, wasBrokenOff } from "./BrokenOff.ts"
import type { Kept, LedgerStore } from "./LedgerStore.ts"
import { type Move, type Moved, mover, type Named, Refusal, refuse, unfinished } from "./Move.ts"
import { canonical } from "./Needs.ts"
import { INTERRUPTIONS } from "./RetrySettings.ts"
import {
  AttemptAbandoned,
  AttemptSuperseded,
  LeaseExpired,
  type LedgerFull,
  type LedgerUnusable,
  TaskCancelled,
  type TaskConflict,
  TaskEnded,
  type TaskInvalid,
  TaskNotDead,
  TaskNotWaiting,
  TaskUnknown
} from "./TaskError.ts"
import type { SubmitOptions, TaskLedger } from "./TaskLedger.ts"
import { nextDate, type Parking, type Remains, type TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"
import { overdue } from "./Timeouts.ts"
import { telling } from "./Waiters.ts"
import { Waiting } from "./Waiting.ts"

/** Due tasks that are moved in one transaction. */
const BATCH = 100
/** When a home that could not be asked is asked again, in milliseconds. */
const AGAIN = 5_000

/** One transaction's view. What it refuses it throws, before it has written anything. */
type Work<A> = (now: number, move: Move, accept: (record: TaskRecord) => TaskRecord, moved: Array<Moved>) => A

export const make = Effect.fnUntraced(function* (
  home: () => LedgerStore,
  kept: Kept,
  /** How often a task may be broken off (BrokenOff.ts). Read at each use: a reload may change it. */
  bounds: { readonly interruptions: number } = { interruptions: INTERRUPTIONS }
) {
  const bus = yield* EventBus
  const random = yield* SecureRandom
  const changed = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)
  const waiting = new Waiting()
  const store = home()
  const { shared } = store
  let open = store.open()
  let ringing: Deferred.Deferred<void> | undefined

  /** To do what is due takes a shared home a while, in which nobody is to see it undone. */
  const settled: Effect.Effect<void> = Effect.suspend(() => {
    if (shared?.reachable() !== true) return Effect.void
    if (ringing !== undefined) return Effect.andThen(Deferred.await(ringing), settled)
    return Effect.flatMap(Clock.currentTimeMillis, (now) =>
      (store.nextDue() ?? Number.POSITIVE_INFINITY) > now ? Effect.void : Effect.ignore(allDue)
    )
  })

  const settledFor = (step: LedgerStep) =>
    shared === undefined || step === "due" ? Clock.currentTimeMillis : Effect.andThen(settled, Clock.currentTimeMillis)

  /** `E` is what `work` may refuse. */
  const transact = <A, E = never>(
    step: LedgerStep,
    durable: boolean,
    work: Work<A>,
    /** Of this task it was told elsewhere. */
    quiet?: string
  ) =>
    Effect.uninterruptible(
      Effect.flatMap(settledFor(step), (now) => {
        const moved: Array<Moved> = []
        const accept = (record: TaskRecord) => {
          store.insert(record, now)
          moved.push({ from: undefined, record })
          return record
        }
        const once = () => {
          // It may be the second time.
          moved.length = 0
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
    if (at !== undefined) alarm.set(at)
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

  const find = (id: string): TaskRecord => store.get(id) ?? refuse(new TaskUnknown({ task: id }))

  /** The task, if this attempt holds it. */
  const held = (id: string, attempt: number): TaskRecord => {
    const record = find(id)
    return record.attempt === attempt && record.state === "running"
      ? record
      : refuse(new AttemptSuperseded({ task: id, attempt, current: record.attempt }))
  }

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
      const record = find(id)
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

  open = store.open()
  shared?.listen((moved) => {
    note(moved)
    PubSub.publishUnsafe(changed, undefined)
  })

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
      (now, move, accept) => accepting({ named, redo }, { store, now, open, move, accept })
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
      alarm.set(until)
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
        () =>
          Effect.sync(() => {
            open = store.open()
          })
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
