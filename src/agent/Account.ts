/**
 * What agents that use the same credentials share: the limits of their account. One that is told to wait tells all of its
 * account, on every node where the account has the same name, and none of them begins a task before the time that the API
 * has named. What is in the middle of one goes on, and is told by the API itself.
 *
 * Promises: no more than MAX_ACCOUNTS limits are held, those of accounts that are used here first (AccountLimits.ts);
 * a limit ends by itself, and at the latest MAX_WAIT after it was heard of, whatever the API has said; it
 * survives the end of the runtime; what another node has met is known here after LOOK at most, as long as there is a
 * server. Without the store, or the servers, each node finds out for itself, which costs one attempt.
 *
 * Nothing here is made of a secret: an account is a name that a person has given, or the one of this node's own agents.
 */
import { Clock, Context, Deferred, Duration, Effect, Exit, Layer, Option, Queue, Schema, type Scope } from "effect"
import { brief } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"
import { inModule } from "../observability/Log.ts"
import { SharedState } from "../state/SharedState.ts"
import { ABSENT, type Entry, StateStore } from "../state/StateStore.ts"
import { AccountLimits, type Limit, MAX_ACCOUNTS } from "./AccountLimits.ts"

export type { Limit } from "./AccountLimits.ts"

/** Of agents for which no account is named. It is never shared: no name has parentheses. */
export const OWN = "(own)"
/** After a limit's reset the API is asked a little later: clocks differ, and not everybody is to ask at that very second. */
export const AFTER_RESET = 5_000
/** The longest wait, in milliseconds; then it is tried again, whatever the API has said. */
export const MAX_WAIT = 24 * 60 * 60_000
/** The first wait where the API does not say how long, in milliseconds; each further one in a row is twice as long. */
export const FIRST_WAIT = 1_000
export const LONGEST_UNKNOWN = 5 * 60_000
/** How often it is looked at what other nodes have met. */
export const LOOK = Duration.seconds(5)
/** The same where this node may not: each time is told. */
const DENIED = Duration.minutes(1)
/** The clock of the machine may be set: it is read again at least so often while something is waited for. */
const RECHECK = Duration.minutes(1)
/** How long what is over stays in the store: by another node's clock it may not be over yet. */
const OVER = 24 * 60 * 60_000
/** How often others may have been faster. */
const TRIES = 5

/** In either store, by account. */
const BUCKET = "accounts"

const Kept = Schema.fromJsonString(Schema.Struct({ until: Schema.Finite, why: Schema.String, node: Schema.String }))
const decode = Schema.decodeUnknownOption(Kept)

/** By a clock that is wrong by days, or by nobody of ours: limits are written with what they are waited for. */
const isAbsurd = ({ until }: Pick<Limit, "until">, now: number) => until > now + MAX_WAIT + OVER

export class Accounts extends Context.Service<
  Accounts,
  {
    /** From the first time on that it is asked about a named account it is looked at what other nodes have met. */
    limitOf(account: string | undefined): Limit | undefined
    readonly limits: () => ReadonlyArray<Limit>
    /** An agent was told to wait; `resetsAt` in seconds since the epoch, where the API has said it. */
    limited(
      account: string | undefined,
      told: { readonly resetsAt: number | undefined; readonly why: string }
    ): Effect.Effect<void>
    /** An attempt went through. */
    passed(account: string | undefined): Effect.Effect<void>
    /** Done whenever a limit has come or gone, until the Scope closes. */
    review(work: Effect.Effect<void>): Effect.Effect<void, never, Scope.Scope>
  }
>()("mister-smith/agent/Accounts") {
  static readonly layer = (node: string) => Layer.effect(this, make(node))
}

const make = Effect.fnUntraced(function* (node: string) {
  const bus = yield* EventBus
  const local = yield* StateStore
  const shared = yield* SharedState
  const limits = new AccountLimits()
  /** As others have said them: what was cut short is not begun again because of them. */
  const heardOf = new Map<string, number>()
  /** Waits in a row whose length the API has not said. */
  const inARow = new Map<string, number>()
  /** There was no room for all at the last look. */
  let tooMany = false
  /** Somebody here uses an account that has a name. */
  const named = Deferred.makeUnsafe<void>()
  /** Not in the shared store yet. */
  const unsaid = new Set<string>()
  const reviewers = new Set<Effect.Effect<void>>()
  const changes = yield* Queue.sliding<void>(1)

  const reviewed = Effect.suspend(() => Effect.forEach([...reviewers], (work) => work, { discard: true }))
  const changed = Effect.andThen(Queue.offer(changes, undefined), reviewed)

  /** Answers whether it is news. */
  const adopt = Effect.fnUntraced(function* (limit: Limit) {
    const now = yield* Clock.currentTimeMillis
    const until = Math.min(limit.until, now + MAX_WAIT)
    if (until <= now || until <= (limits.get(limit.account)?.until ?? 0)) return false
    if (!limits.set({ ...limit, until })) return false
    const { account, why } = limit
    yield* bus.publish({ type: "account.limited", account, until, why: brief(why), node: limit.node })
    yield* changed
    return true
  })

  const write = (limit: Limit) => JSON.stringify({ until: limit.until, why: brief(limit.why), node: limit.node })
  const heard = ({ key, value }: Entry): Limit | undefined =>
    Option.getOrUndefined(Option.map(decode(value), (kept) => ({ ...kept, account: key, node: brief(kept.node) })))

  /** For all nodes: the later of two limits counts. */
  const say = Effect.fnUntraced(function* (store: StateStore["Service"], account: string) {
    for (let tries = 0; tries < TRIES; tries++) {
      const limit = limits.get(account)
      if (limit === undefined) break
      const entry = yield* store.get(BUCKET, account)
      const there = entry === undefined ? undefined : heard(entry)
      const now = yield* Clock.currentTimeMillis
      if (there !== undefined && there.until >= limit.until && !isAbsurd(there, now)) break
      const written = yield* Effect.option(
        Effect.catchTag(store.swap(BUCKET, account, write(limit), entry?.revision ?? ABSENT), "StateFull", () =>
          Effect.succeed(ABSENT)
        )
      )
      if (Option.isSome(written)) break
    }
    unsaid.delete(account)
  })

  /** What others have met, and what they have not heard of. */
  const look = Effect.fnUntraced(function* (store: StateStore["Service"]) {
    for (const account of [...unsaid]) yield* say(store, account)
    const now = yield* Clock.currentTimeMillis
    const listed = yield* store.list(BUCKET)
    // What nobody says any more may be said anew.
    const names = new Set(listed.map(({ key }) => key))
    for (const account of heardOf.keys()) if (!names.has(account)) heardOf.delete(account)
    let unheard = 0
    for (const entry of listed) {
      const limit = heard(entry)
      if (limit === undefined || limit.account === OWN || limit.until + OVER < now)
        yield* Effect.ignore(store.remove(BUCKET, entry.key, entry.revision))
      else if (isAbsurd(limit, now)) {
        // It would stand before all that come after it.
        yield* adopt(limit)
        yield* Effect.ignore(store.remove(BUCKET, entry.key, entry.revision))
      } else if (!limits.hasRoom(limit.account)) unheard++
      else if (limit.until > (heardOf.get(limit.account) ?? 0)) {
        heardOf.set(limit.account, limit.until)
        yield* adopt(limit)
      }
    }
    if (unheard > 0 && !tooMany)
      yield* inModule("agent")(
        Effect.logWarning(
          `other nodes have met limits of more than ${MAX_ACCOUNTS} accounts: ${unheard} that no agent here uses are passed over`
        )
      )
    tooMany = unheard > 0
  })

  /** Frees what is over. */
  const free = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    // The clock was set back since.
    for (const limit of limits.all()) if (limit.until > now + MAX_WAIT) limits.set({ ...limit, until: now + MAX_WAIT })
    const over = limits.all().filter(({ until }) => until <= now)
    for (const { account } of over) {
      limits.delete(account)
      unsaid.delete(account)
      yield* Effect.ignore(local.remove(BUCKET, account))
      yield* bus.publish({ type: "account.freed", account })
    }
    if (over.length > 0) yield* reviewed
    return limits.all().map(({ until }) => until - now)
  })

  for (const entry of yield* Effect.orElseSucceed(local.list(BUCKET), () => [])) {
    const limit = heard(entry)
    if (limit !== undefined) limits.use(limit.account)
    if (limit === undefined || !(yield* adopt(limit))) yield* Effect.ignore(local.remove(BUCKET, entry.key))
    else if (limit.account !== OWN) unsaid.add(limit.account)
  }

  yield* Effect.forkScoped(
    Effect.forever(
      Effect.flatMap(free, (waits) =>
        Effect.raceFirst(
          Queue.take(changes),
          waits.length === 0 ? Effect.never : Effect.sleep(Math.min(Duration.toMillis(RECHECK), ...waits))
        )
      )
    )
  )
  if (shared !== undefined) {
    let said = false
    const again = look(shared).pipe(
      Effect.andThen(Effect.sync(() => (said = false))),
      Effect.as(LOOK),
      Effect.catch(({ message, problem }) =>
        Effect.suspend(() => {
          const tell = said
            ? Effect.void
            : inModule("agent")(Effect.logWarning(`limits of accounts are not shared: ${message}`))
          said = true
          return Effect.as(tell, problem === "denied" ? DENIED : LOOK)
        })
      )
    )
    yield* Effect.forkScoped(Effect.andThen(Deferred.await(named), Effect.forever(Effect.flatMap(again, Effect.sleep))))
  }

  return Accounts.of({
    limitOf: (account = OWN) => {
      if (account !== OWN) Deferred.doneUnsafe(named, Exit.void)
      limits.use(account)
      return limits.get(account)
    },
    limits: limits.all.bind(limits),
    limited: Effect.fnUntraced(function* (account = OWN, { resetsAt, why }) {
      limits.use(account)
      const now = yield* Clock.currentTimeMillis
      const named = resetsAt === undefined ? 0 : resetsAt * 1_000 + AFTER_RESET
      let until = named
      if (!(named > now)) {
        // Who was in the middle of something when it began is told of the same limit.
        if (limits.get(account) !== undefined) return
        const before = inARow.get(account) ?? 0
        inARow.delete(account)
        inARow.set(account, before + 1)
        for (const longestAgo of [...inARow.keys()].slice(0, -MAX_ACCOUNTS)) inARow.delete(longestAgo)
        until = now + Math.min(FIRST_WAIT * 2 ** before, LONGEST_UNKNOWN)
      }
      if (!(yield* adopt({ account, until, why, node }))) return
      const limit = limits.get(account)
      if (limit !== undefined) yield* Effect.ignore(local.put(BUCKET, account, write(limit)))
      if (account === OWN || shared === undefined) return
      unsaid.add(account)
      // The agent need not wait for a server; where none answers it is said with the next look.
      yield* Effect.forkDetach(Effect.ignore(say(shared, account)))
    }),
    passed: (account = OWN) => Effect.sync(() => void inARow.delete(account)),
    review: (work) =>
      Effect.acquireRelease(
        Effect.sync(() => void reviewers.add(work)),
        () => Effect.sync(() => void reviewers.delete(work))
      )
  })
})
