/**
 * The ledger of a node at the edge of its fleet: the fleet's, as long as that can be reached, and what is needed to go on
 * where it cannot.
 *
 * Promises:
 * - while the fleet is there, it has the say: what is asked goes to it
 * - a node that is cut off finishes what it has begun. How an attempt ended is in the outbox, on the disk, before the answer
 *   comes, and reaches the fleet once, in order, whoever dies meanwhile. Whether it still counts the fence decides
 * - nothing of the fleet is begun without it: others may have it by now
 * - where it may (`storeAndForward`), it accepts tasks and performs them; each is at one place at a time, and gets to the
 *   fleet with its end, or not begun, under its id
 * - what only the fleet could answer is refused while it cannot be asked, never made up
 *
 * What is delivered, and how, is EdgeDelivery.ts.
 */
import { Deferred, Effect, Fiber, PubSub, Scope, Semaphore, Stream } from "effect"
import { report } from "../domain/Fault.ts"
import { isFinal } from "../domain/Task.ts"
import { EventBus } from "../event/EventBus.ts"
import { inModule } from "../observability/Log.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import { isAway } from "../state/HomeProblem.ts"
import { hasLeft } from "./Adopting.ts"
import { edgesOf } from "./After.ts"
import { sameContent } from "./Content.ts"
import type { SharedLedger } from "./EdgeDelivery.ts"
import * as EdgeDelivery from "./EdgeDelivery.ts"
import * as EdgeHere from "./EdgeHere.ts"
import * as EdgeTasks from "./EdgeTasks.ts"
import { DEFAULT_LIMIT } from "./MemoryStore.ts"
import type { Letter, Outbox } from "./Outbox.ts"
import { LedgerFull, LedgerUnusable, TaskConflict, TaskUnknown } from "./TaskError.ts"
import type { SubmitOptions, TaskLedger } from "./TaskLedger.ts"
import { begun, type TaskFilter, type TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"
import { priorityOf } from "./Turn.ts"

type Ledger = TaskLedger["Service"]

/** Before the fleet is tried again, where its link is up and it did not answer. */
const AGAIN = "1 second"

export type EdgeMode = "full" | "no_new_work" | "store_and_forward"

const unreachableBy = (error: unknown) => (error instanceof Error ? error.message : String(error))

/** What was begun before first, then by priority and first come. */
const byTurn = (one: TaskRecord, other: TaskRecord): number =>
  Number(begun(other) > 0) - Number(begun(one) > 0) ||
  priorityOf(other.spec) - priorityOf(one.spec) ||
  one.submittedAt - other.submittedAt

/** What the node knows of its connection to the fleet. */
export interface Link {
  readonly isUp: () => boolean
  /** Completes when `isUp` is another than this, be it already. */
  readonly becomes: (up: boolean) => Effect.Effect<void>
  /** Completes when it is up, or was given the time that a start may wait for it. */
  readonly first: Effect.Effect<void>
}

export interface EdgeOptions {
  readonly local: Ledger
  readonly outbox: Outbox
  readonly link: Link
  /** Asked for while the link is up, until it succeeds. What else than a lack of connection makes it fail at the start ends the start. */
  readonly open: Effect.Effect<SharedLedger, LedgerUnusable, Scope.Scope>
  readonly whenCutOff: "noNewWork" | "storeAndForward"
  /** Tasks of this node that may wait for the fleet. */
  readonly tasks: number
  /** What this node is called. */
  readonly node?: string
}

export interface Edge {
  readonly ledger: Ledger
  readonly mode: () => EdgeMode
  /** Why the fleet cannot be asked; undefined where it can. */
  readonly why: () => string | undefined
  /** What waits for the fleet. */
  readonly waiting: () => { readonly reports: number; readonly tasks: number }
}

const isLost = (error: unknown): boolean => error instanceof LedgerUnusable && isAway(error.problem)

export const make = Effect.fnUntraced(function* ({
  link,
  local,
  node,
  open,
  outbox,
  tasks: bound,
  whenCutOff
}: EdgeOptions): Effect.fn.Return<Edge, LedgerUnusable, EventBus | Scope.Scope> {
  const bus = yield* EventBus
  const scope = yield* Effect.scope
  const tasks = yield* EdgeTasks.make(local, outbox)
  const delivery = yield* EdgeDelivery.make(local, outbox, tasks, node)
  const delivering = yield* Semaphore.make(1)
  const changed = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)
  const othersChanged = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)

  let fleet: SharedLedger | undefined
  let recovered = false
  /** Where the fleet's ledger is to be had: undefined while it is not. */
  let there: SharedLedger | undefined
  let lost = Deferred.makeUnsafe<void>()
  let found = Deferred.makeUnsafe<void>()
  let why = "the fleet was not reached yet"

  const cutOffMode: EdgeMode = whenCutOff === "storeAndForward" ? "store_and_forward" : "no_new_work"
  const accepts = whenCutOff === "storeAndForward"
  const mode = (): EdgeMode => (there === undefined ? cutOffMode : "full")
  const waiting = () => ({ reports: outbox.counts().reports, tasks: tasks.count() })
  const unreachable = () => new LedgerUnusable({ where: "of the fleet", problem: "unreachable", detail: why })

  const say = (from: EdgeMode, reason: string) =>
    Effect.andThen(
      bus.publish({ type: "fleet.mode", from, to: mode(), reason, ...waiting() }),
      PubSub.publish(changed, undefined)
    )

  const cut = (reason: string) =>
    Effect.suspend(() => {
      if (there === undefined) return Effect.void
      there = undefined
      why = reason
      found = Deferred.makeUnsafe()
      Deferred.doneUnsafe(lost, Effect.void)
      return say("full", reason)
    })

  /** Asks the fleet, or says at once that it cannot be asked. */
  const ask = <A, E>(question: (ledger: Ledger) => Effect.Effect<A, E>): Effect.Effect<A, E | LedgerUnusable> =>
    Effect.suspend((): Effect.Effect<A, E | LedgerUnusable> => {
      if (there === undefined) return Effect.fail(unreachable())
      return Effect.tapError(question(there.ledger), (error) =>
        isLost(error) ? cut(unreachableBy(error)) : Effect.void
      )
    })

  /** The same, and waits no longer than the link is there; `late` is done where it was answered all the same. */
  const askWhileThere = <A, E>(
    question: (ledger: Ledger) => Effect.Effect<A, E>,
    late: (ledger: Ledger, answer: A) => Effect.Effect<unknown, unknown> = () => Effect.void
  ): Effect.Effect<A, E | LedgerUnusable> =>
    Effect.suspend(() => {
      const asked = there
      if (asked === undefined) return Effect.fail(unreachable())
      let waits = true
      const answered = Effect.tap(ask(question), (answer) =>
        Effect.suspend(() => (waits ? Effect.void : Effect.ignore(late(asked.ledger, answer))))
      )
      const gone = Effect.andThen(
        Deferred.await(lost),
        Effect.suspend(() => {
          waits = false
          return Effect.fail(unreachable())
        })
      )
      return Effect.flatMap(Effect.forkIn(answered, scope), (fiber) => Effect.raceFirst(Fiber.join(fiber), gone))
    })

  const keep = (letter: Letter) =>
    Effect.suspend(() => {
      crashPoint("edge.keep.before")
      return outbox.keep(letter)
    }).pipe(
      Effect.andThen(Effect.sync(() => crashPoint("edge.keep.after"))),
      Effect.andThen(
        bus.publish({ type: "outbox.kept", task: letter.task, attempt: letter.attempt, agent: letter.agent })
      ),
      // It may have come back in this moment.
      Effect.andThen(Effect.suspend(() => (there === undefined ? Effect.void : Effect.forkIn(forward, scope)))),
      Effect.asVoid
    )

  const settle = (letter: Letter) =>
    Effect.suspend(() => {
      if (isHere(letter.task)) return EdgeDelivery.tell(local, letter)
      // What was said before comes first.
      if (there === undefined || outbox.holds(letter.task)) return keep(letter)
      return Effect.catchIf(
        askWhileThere((ledger) => EdgeDelivery.tell(ledger, letter)),
        isLost,
        () => keep(letter)
      )
    })

  const agentOf = (id: string) =>
    Effect.map(Effect.option((fleet?.ledger ?? local).get(id)), (record) =>
      record._tag === "Some" ? (record.value.agent ?? "") : ""
    )

  /** What neither this node nor, as far as it knows, the fleet has is nobody's: it is asked for here. */
  const isHere = (id: string) =>
    tasks.has(id) || (there === undefined && !outbox.isKnown(id) && (fleet === undefined || !fleet.knows(id)))

  /** At its place; on its way it is nobody's. */
  const at = <A, E>(
    id: string,
    question: (ledger: Ledger) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | LedgerUnusable> =>
    Effect.suspend((): Effect.Effect<A, E | LedgerUnusable> => {
      if (!isHere(id)) return ask(question)
      return tasks.leaving(id) === undefined ? question(local) : Effect.fail(unreachable())
    })

  /** What is known of a task where the fleet does not say it. */
  const known = <A>(
    id: string,
    question: (ledger: Ledger) => Effect.Effect<A, TaskUnknown | LedgerUnusable>
  ): Effect.Effect<A, TaskUnknown | LedgerUnusable> => {
    const remembered = Effect.flatMap(
      local.get(id),
      (record): Effect.Effect<A, TaskUnknown | LedgerUnusable> =>
        hasLeft(record) ? Effect.fail(new TaskUnknown({ task: id })) : question(local)
    )
    return Effect.suspend(() => {
      const first = fleet === undefined ? Effect.fail(new TaskUnknown({ task: id })) : question(fleet.ledger)
      return first.pipe(
        Effect.catchTag("TaskUnknown", () => remembered),
        // It may well be there.
        Effect.catchTag("TaskUnknown", (error) =>
          Effect.fail(there === undefined && outbox.isKnown(id) ? unreachable() : error)
        )
      )
    })
  }

  const get = (id: string): Effect.Effect<TaskRecord, TaskUnknown | LedgerUnusable> =>
    Effect.suspend(() => {
      const away = tasks.leaving(id)
      if (away !== undefined) return Effect.succeed(away)
      return tasks.has(id) ? local.get(id) : known(id, (ledger) => ledger.get(id))
    })

  /** A task that the fleet has, as far as it is known without it. */
  const accepted = Effect.fnUntraced(function* (spec: TaskSpec, again: boolean) {
    const id = String(spec.id)
    const record = yield* Effect.catchTag(get(id), ["TaskUnknown", "LedgerUnusable"], () => outbox.remembered(id))
    if (record === undefined) return yield* unreachable()
    if (!sameContent(record.spec, spec)) return yield* new TaskConflict({ task: id })
    // What is to be done once more is the fleet's to say.
    if (again && isFinal(record.state) && record.state !== "succeeded") return yield* unreachable()
    return record
  })

  const submitHere = Effect.fnUntraced(function* (specs: ReadonlyArray<TaskSpec>, options?: SubmitOptions) {
    const added = specs.filter(({ id }) => id === undefined || !tasks.has(id)).length
    if (added > 0 && tasks.count() + added > bound) return yield* new LedgerFull({ limit: bound })
    const records = yield* local.submitAll(specs, options)
    tasks.accepted(records.map(({ id }) => id))
    return records
  }, Effect.uninterruptible)

  const submitAll = Effect.fn("EdgeLedger.submitAll")(function* (
    specs: ReadonlyArray<TaskSpec>,
    options?: SubmitOptions
  ) {
    const named = specs.flatMap(({ id }) => id ?? [])
    const own = (id: string) => tasks.has(id)
    // What is done here, and what waits for it, stays together.
    if (named.some(own) || specs.some((spec) => [...edgesOf(spec).keys()].some(own))) {
      if (named.some((id) => tasks.leaving(id) !== undefined)) return yield* unreachable()
      const isFleets = ({ id }: TaskSpec) => id !== undefined && !own(id) && outbox.isKnown(id)
      const fleets = specs.filter(isFleets)
      const asked = fleets.length === 0 ? [] : yield* ask((ledger) => ledger.submitAll(fleets, options))
      const here = yield* submitHere(
        specs.filter((spec) => !isFleets(spec)),
        options
      )
      const [nextOfFleet, nextHere] = [asked.values(), here.values()]
      return specs.map((spec) => (isFleets(spec) ? nextOfFleet : nextHere).next().value as TaskRecord)
    }
    if (there === undefined) {
      if (!accepts) return yield* unreachable()
      if (!named.some(outbox.isKnown)) return yield* submitHere(specs, options)
      // What the fleet has must not be done twice.
      const fleets = specs.filter(({ id }) => id !== undefined && outbox.isKnown(id))
      const asked = yield* Effect.forEach(fleets, (spec) => accepted(spec, options?.again === true))
      const here = yield* submitHere(
        specs.filter((spec) => !fleets.includes(spec)),
        options
      )
      const [nextOfFleet, nextHere] = [asked.values(), here.values()]
      return specs.map((spec) => (fleets.includes(spec) ? nextOfFleet : nextHere).next().value as TaskRecord)
    }
    const records = yield* ask((ledger) => ledger.submitAll(specs, options))
    yield* outbox.knows(records)
    return records
  })

  const result = (id: string): ReturnType<Ledger["result"]> =>
    Effect.suspend(() => {
      if (!tasks.has(id))
        return Effect.catchIf(
          known(id, (ledger) => ledger.result(id)),
          isLost,
          // Whoever waits for an end waits for the fleet, too.
          (error) =>
            there === undefined
              ? Effect.andThen(
                  Deferred.await(found),
                  Effect.suspend(() => result(id))
                )
              : Effect.fail(error)
        )
      if (tasks.leaving(id) !== undefined) return Effect.andThen(tasks.given(id), result(id))
      return Effect.raceFirst(
        local.result(id),
        Effect.andThen(
          tasks.given(id),
          Effect.suspend(() => result(id))
        )
      )
    })

  /** Those of both places. */
  const both = <A>(question: (ledger: Ledger) => Effect.Effect<ReadonlyArray<A>, LedgerUnusable>) =>
    Effect.suspend(() =>
      fleet === undefined
        ? question(local)
        : Effect.zipWith(question(local), question(fleet.ledger), (here, fleets) => [...here, ...fleets])
    )

  /** Those that may be begun now. */
  const startable = (question: (ledger: Ledger) => Effect.Effect<ReadonlyArray<TaskRecord>, LedgerUnusable>) =>
    Effect.suspend(() => {
      // The next of a series is accepted as the one before it ends.
      const here = Effect.tap(question(local), (records) =>
        Effect.sync(() => tasks.accepted(records.map(({ id }) => id)))
      )
      if (there === undefined) return accepts ? here : Effect.succeed([])
      const fleets = ask(question)
      if (tasks.count() === 0) return fleets
      return Effect.zipWith(here, fleets, (own, others) => [...own, ...others].sort(byTurn))
    })

  const list = (filter: TaskFilter = {}) =>
    Effect.suspend(() => {
      if (fleet !== undefined && tasks.count() === 0) return fleet.ledger.list(filter)
      const { limit = DEFAULT_LIMIT } = filter
      return Effect.map(
        Effect.zip(local.list(filter), fleet === undefined ? Effect.succeed([]) : fleet.ledger.list(filter)),
        ([here, fleets]) => {
          const mine = here.filter(
            (record) => !hasLeft(record) && (fleet === undefined || tasks.has(record.id) || !outbox.isKnown(record.id))
          )
          if (fleets.length === 0) return mine
          const ids = new Set(mine.map(({ id }) => id))
          return [...mine, ...fleets.filter(({ id }) => !ids.has(id))]
            .sort((one, other) => other.submittedAt - one.submittedAt)
            .slice(0, limit)
        }
      )
    })

  const ledger: Ledger = {
    submit: (spec, options) => Effect.map(submitAll([spec], options), ([record]) => record as TaskRecord),
    submitAll,
    claim: (id, agent, lease) =>
      Effect.suspend((): ReturnType<Ledger["claim"]> => {
        if (isHere(id)) return at(id, (ledger) => ledger.claim(id, agent, lease))
        return askWhileThere(
          (ledger) => ledger.claim(id, agent, lease),
          // Nobody performs it: it is given back.
          (ledger, { attempt, usage }) =>
            ledger.park(id, attempt, { until: 0, interrupted: true, fault: report(unreachable()), usage })
        )
      }),
    renew: (id, attempt, lease) => at(id, (ledger) => ledger.renew(id, attempt, lease)),
    complete: (task, attempt, result, remains) =>
      settle({ task, attempt, agent: result.agent ?? "", report: { kind: "complete", result, remains } }),
    giveUp: (task, attempt, result, remains) =>
      settle({ task, attempt, agent: result.agent ?? "", report: { kind: "giveUp", result, remains } }),
    park: (task, attempt, why) =>
      Effect.flatMap(agentOf(task), (agent) => settle({ task, attempt, agent, report: { kind: "park", why } })),
    awaitPerson: (task, attempt, why) =>
      Effect.flatMap(agentOf(task), (agent) => settle({ task, attempt, agent, report: { kind: "awaitPerson", why } })),
    answered: (id) => at(id, (ledger) => ledger.answered(id)),
    adopt: (adoptee) => at(adoptee.record.id, (ledger) => ledger.adopt(adoptee)),
    withdraw: (id) => at(id, (ledger) => ledger.withdraw(id)),
    cancel: (id, why) => at(id, (ledger) => ledger.cancel(id, why)),
    replay: (id) => at(id, (ledger) => ledger.replay(id)),
    drop: (id) => at(id, (ledger) => ledger.drop(id)),
    recover: Effect.suspend(() =>
      there === undefined
        ? local.recover
        : Effect.zipWith(
            local.recover,
            ask((ledger) => ledger.recover),
            (here, fleets) => [...here, ...fleets]
          )
    ),
    get,
    history: (id) =>
      Effect.suspend(() => (tasks.has(id) ? local.history(id) : known(id, (ledger) => ledger.history(id)))),
    list,
    openOf: (series) => both((ledger) => ledger.openOf(series)),
    heads: (passOver) => startable((ledger) => ledger.heads(passOver)),
    interrupted: (ids) => startable((ledger) => ledger.interrupted(ids)),
    result,
    released: (id, attempt) =>
      Effect.suspend(() => (isHere(id) ? local : (fleet?.ledger ?? local)).released(id, attempt)),
    changes: Effect.map(PubSub.subscribe(changed), Stream.fromSubscription),
    ...(node === undefined
      ? {}
      : {
          here: EdgeHere.make({
            node,
            holds: tasks.has,
            fleets: () => fleet?.ledger.here,
            changes: Effect.map(PubSub.subscribe(othersChanged), Stream.fromSubscription)
          })
        })
  }

  /** How the others are is told on, too. */
  const followOthers = ({ here }: Ledger) =>
    here?.others === undefined
      ? Effect.void
      : Effect.flatMap(here.others.changes, (changes) =>
          Effect.forkIn(
            Stream.runForEach(changes, () => PubSub.publish(othersChanged, undefined)),
            scope
          )
        ).pipe(Effect.provideService(Scope.Scope, scope))
  const follow = (ledger: Ledger) =>
    Effect.flatMap(ledger.changes, (changes) =>
      Effect.forkIn(
        Stream.runForEach(changes, () => PubSub.publish(changed, undefined)),
        scope
      )
    ).pipe(Effect.provideService(Scope.Scope, scope))

  /** Opens the fleet's ledger, if it was not, and delivers; from then on it is there. */
  const mend = (quiet: boolean) =>
    Effect.gen(function* () {
      fleet ??= yield* Effect.tap(Effect.provideService(open, Scope.Scope, scope), ({ ledger }) =>
        Effect.andThen(follow(ledger), followOthers(ledger))
      )
      yield* fleet.reach
      yield* delivery.all(fleet)
      if (!recovered) yield* fleet.ledger.recover
      recovered = true
      const from = mode()
      lost = Deferred.makeUnsafe()
      there = fleet
      Deferred.doneUnsafe(found, Effect.void)
      if (!quiet) yield* say(from, "the fleet is reached")
    }).pipe(
      delivering.withPermits(1),
      // What has ended meanwhile.
      Effect.andThen(Effect.suspend(() => forward))
    )

  /** What is done here goes to the fleet as it ends. */
  const forward: Effect.Effect<void> = Effect.suspend(() => {
    const to = there
    if (to === undefined || (tasks.count() === 0 && outbox.counts().reports === 0)) return Effect.void
    return Effect.catch(delivering.withPermits(1)(delivery.all(to)), (error) =>
      isLost(error) ? cut(error.message) : inModule("task")(Effect.logError(error.message))
    )
  })

  const keepLinked = Effect.gen(function* () {
    for (;;) {
      if (there !== undefined) {
        const broken = Effect.as(
          Effect.raceFirst(link.becomes(false), Deferred.await(lost)),
          "the connection to the servers is lost"
        )
        const gone = Effect.map(there.away ?? Effect.never, ({ message }) => message)
        yield* cut(yield* Effect.raceFirst(broken, gone))
        continue
      }
      yield* link.becomes(true)
      const failed = yield* Effect.match(mend(false), { onFailure: (error) => error, onSuccess: () => undefined })
      if (failed === undefined) continue
      if (failed.message !== why) yield* inModule("task")(Effect.logWarning(failed.message))
      why = failed.message
      yield* Effect.raceFirst(Effect.sleep(AGAIN), link.becomes(false))
    }
  })

  yield* link.first
  if (link.isUp())
    yield* Effect.catch(mend(true), (error) => {
      why = error.message
      return isLost(error) ? Effect.void : Effect.fail(error)
    })
  if (there === undefined) yield* say("full", why)
  yield* follow(local)
  const own = yield* local.changes
  yield* Effect.forkScoped(Stream.runForEach(own, () => forward))
  yield* Effect.forkScoped(keepLinked)
  return { ledger, mode, why: () => (there === undefined ? why : undefined), waiting }
})
