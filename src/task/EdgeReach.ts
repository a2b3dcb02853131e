/**
 * The reach of a fleet, as a node at its edge has it: the fleet's ledger where it can be asked now, and what is done when
 * that changes.
 *
 * Promises:
 * - who asks hears at once that the fleet cannot be asked, and never waits for a link that is down
 * - what waits for the fleet is delivered before the node counts as linked, and again whenever `forward` says that there is more
 * - each change of the mode is told, once
 * - what is wrong with one try to reach it, a defect too, is told in the log and is not the last try
 *
 * What is asked, and of whom, is EdgeLedger.ts; what waits for the fleet, and how it is delivered, EdgeDelivery.ts.
 */
import { Deferred, Effect, Fiber, Queue, Scope, Semaphore, Stream } from "effect"
import { EventBus } from "../event/EventBus.ts"
import { isAway } from "../state/HomeProblem.ts"
import { Farewell } from "../transport/Farewell.ts"
import * as EdgeChanges from "./EdgeChanges.ts"
import type { EdgeDelivery } from "./EdgeDelivery.ts"
import type { SharedLedger } from "./EdgeReports.ts"
import * as EdgeTroubles from "./EdgeTroubles.ts"
import { LATER } from "./EdgeWaiting.ts"
import { LedgerUnusable } from "./TaskError.ts"
import type { TaskLedger } from "./TaskLedger.ts"

type Ledger = TaskLedger["Service"]

/** Before the fleet is tried again, where its link is up and it did not answer. */
const AGAIN = "1 second"

export type EdgeMode = "full" | "no_new_work" | "store_and_forward"

/** What the node knows of its connection to the fleet. */
export interface Link {
  readonly isUp: () => boolean
  /** Completes when `isUp` is another than this, be it already. */
  readonly becomes: (up: boolean) => Effect.Effect<void>
  /** Completes when it is up, or was given the time that a start may wait for it. */
  readonly first: Effect.Effect<void>
}

export interface ReachOptions {
  readonly link: Link
  /** Asked for while the link is up, until it succeeds. What else than a lack of connection makes it fail at the start ends the start. */
  readonly open: Effect.Effect<SharedLedger, LedgerUnusable, Scope.Scope>
  /** What this node does while it is cut off. */
  readonly cutOff: Exclude<EdgeMode, "full">
  /** How much waits for the fleet. */
  readonly waiting: () => { readonly reports: number; readonly tasks: number }
  readonly delivery: EdgeDelivery
}

export interface EdgeReach {
  /** The fleet's ledger where it can be asked now. */
  readonly there: () => SharedLedger | undefined
  /** The same, once it was opened: what is known of the fleet without asking it. */
  readonly fleet: () => SharedLedger | undefined
  readonly mode: () => EdgeMode
  /** Why it cannot be asked, in words; undefined where it can. */
  readonly why: () => string | undefined
  /** The same, for who has asked. */
  readonly unreachable: () => LedgerUnusable
  /** Asks the fleet, or says at once that it cannot be asked. */
  readonly ask: <A, E>(question: (ledger: Ledger) => Effect.Effect<A, E>) => Effect.Effect<A, E | LedgerUnusable>
  /** The same, and waits no longer than the link is there; `late` is done where it was answered all the same. */
  readonly askWhileThere: <A, E>(
    question: (ledger: Ledger) => Effect.Effect<A, E>,
    late?: (ledger: Ledger, answer: A) => Effect.Effect<unknown, unknown>
  ) => Effect.Effect<A, E | LedgerUnusable>
  /** Completes when the fleet is there again. */
  readonly found: Effect.Effect<void>
  /** There may be more to deliver. */
  readonly forward: Effect.Effect<void>
  /** What this node does has changed, or what is in the fleet's ledger. */
  readonly changes: Effect.Effect<Stream.Stream<void>, never, Scope.Scope>
  /** How other nodes are has changed. */
  readonly othersChanged: Effect.Effect<Stream.Stream<void>, never, Scope.Scope>
  /** Tells of this ledger's changes, too. */
  readonly follow: (ledger: Ledger) => Effect.Effect<void>
  /** Reaches for the fleet the first time; from then on as long as the Scope is open. */
  readonly begin: Effect.Effect<void, LedgerUnusable>
}

export const isLost = (error: unknown): boolean => error instanceof LedgerUnusable && isAway(error.problem)

/** Of whom there are no others. */
const never = Effect.succeed(Stream.never)

const wordsOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

export const make = Effect.fnUntraced(function* ({
  cutOff,
  delivery,
  link,
  open,
  waiting
}: ReachOptions): Effect.fn.Return<EdgeReach, never, EventBus | Scope.Scope> {
  const bus = yield* EventBus
  const farewell = yield* Farewell
  // What is opened is closed when nobody works with it any more.
  const opened = yield* Scope.fork(yield* Effect.scope)
  const scope = yield* Scope.make()
  // A write that is under way is not broken off, and may wait for a server for a while.
  yield* Effect.addFinalizer((exit) => farewell.say(Scope.close(scope, exit)))
  const delivering = yield* Semaphore.make(1)
  const changes = yield* EdgeChanges.make
  const others = yield* EdgeChanges.make
  const troubles = EdgeTroubles.make()

  /** Says that there may be more to deliver. */
  const more = yield* Queue.sliding<void>(1)

  let fleet: SharedLedger | undefined
  let recovered = false
  /** Where the fleet's ledger is to be had: undefined while it is not. */
  let there: SharedLedger | undefined
  let lost = Deferred.makeUnsafe<void>()
  let found = Deferred.makeUnsafe<void>()
  let why = "the fleet was not reached yet"

  const mode = (): EdgeMode => (there === undefined ? cutOff : "full")
  const unreachable = () => new LedgerUnusable({ where: "of the fleet", problem: "unreachable", detail: why })

  const say = (from: EdgeMode, reason: string) =>
    Effect.andThen(bus.publish({ type: "fleet.mode", from, to: mode(), reason, ...waiting() }), changes.tell)

  const cut = (reason: string) =>
    Effect.suspend(() => {
      if (there === undefined) return Effect.void
      there = undefined
      why = reason
      found = Deferred.makeUnsafe()
      Deferred.doneUnsafe(lost, Effect.void)
      return say("full", reason)
    })

  const ask: EdgeReach["ask"] = <A, E>(question: (ledger: Ledger) => Effect.Effect<A, E>) =>
    Effect.suspend((): Effect.Effect<A, E | LedgerUnusable> => {
      if (there === undefined) return Effect.fail(unreachable())
      return Effect.tapError(question(there.ledger), (error) => (isLost(error) ? cut(wordsOf(error)) : Effect.void))
    })

  const askWhileThere: EdgeReach["askWhileThere"] = (question, late = () => Effect.void) =>
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

  /** Opens the fleet's ledger, if it was not, and delivers; from then on it is there. */
  const mend = (quiet: boolean) =>
    Effect.gen(function* () {
      fleet ??= yield* Effect.tap(Effect.provideService(open, Scope.Scope, opened), ({ ledger }) =>
        Effect.andThen(changes.follow(ledger.changes), others.follow(ledger.here?.others?.changes ?? never))
      )
      yield* fleet.reach
      yield* delivery.all(fleet)
      if (!recovered) yield* fleet.ledger.recover
      recovered = true
      troubles.over()
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

  const forward = Effect.asVoid(Queue.offer(more, undefined))
  let comesLater = false
  const forwardLater = Effect.suspend(() => {
    if (comesLater) return Effect.void
    comesLater = true
    const then = Effect.andThen(
      Effect.sync(() => {
        comesLater = false
      }),
      forward
    )
    return Effect.asVoid(Effect.forkIn(Effect.andThen(Effect.sleep(LATER), then), scope))
  })

  /** Delivers what there is each time that there may be more. */
  const forwarding = Effect.gen(function* () {
    yield* Queue.take(more)
    const to = there
    const { reports, tasks } = waiting()
    if (to === undefined || reports + tasks === 0) return
    const failed = yield* troubles.trial(delivering.withPermits(1)(delivery.all(to)))
    if (failed !== undefined && isLost(failed)) return yield* cut(failed.message)
    if (failed !== undefined) yield* troubles.tell(failed.message)
    if (failed !== undefined || delivery.waiting() > 0) yield* forwardLater
  })

  const keepLinked = Effect.gen(function* () {
    if (there !== undefined) {
      const broken = Effect.raceFirst(link.becomes(false), Deferred.await(lost))
      const gone = Effect.map(there.away ?? Effect.never, ({ message }) => message)
      return yield* cut(yield* Effect.raceFirst(Effect.as(broken, "the connection to the servers is lost"), gone))
    }
    yield* link.becomes(true)
    const failed = yield* troubles.trial(mend(false))
    if (failed === undefined) return
    yield* troubles.tell(failed.message)
    why = failed.message
    yield* Effect.raceFirst(Effect.sleep(AGAIN), link.becomes(false))
  })

  const begin = Effect.gen(function* () {
    yield* link.first
    if (link.isUp())
      yield* Effect.catch(mend(true), (error) => {
        why = error.message
        return isLost(error) ? Effect.void : Effect.fail(error)
      })
    if (there === undefined) yield* say("full", why)
    yield* Effect.forkIn(Effect.forever(keepLinked), scope)
    yield* Effect.forkIn(Effect.forever(forwarding), scope)
  })

  return {
    there: () => there,
    fleet: () => fleet,
    mode,
    why: () => (there === undefined ? why : undefined),
    unreachable,
    ask,
    askWhileThere,
    found: Effect.suspend(() => Deferred.await(found)),
    forward,
    changes: changes.changes,
    othersChanged: others.changes,
    follow: (ledger) => changes.follow(ledger.changes),
    begin
  }
})
