/**
 * When this node may take a task that other nodes of its ledger may take as well. The claim in the ledger is the only truth:
 * all this decides is who waits for how long before it tries.
 *
 * Promises: no task waits for it for ever. One that was begun on another node, which may hold its conversation, is left to
 * that one while it lives, no longer than `sticky`. In an auction every node that could take the task says so (a bid), and
 * each finds the best of the bids that it has heard within `window` (Auction.ts); that one claims it, the others keep away for
 * `grace`, and then it is anybody's: so it does whatever bids are lost and whoever dies. Nobody conducts it. Without an auction
 * the queue of the ledger, where it has one, says which node tries first (Handing.ts).
 */
import { Clock, Context, Duration, Effect, PubSub, type Scope, Stream } from "effect"
import type { AgentSnapshot } from "../agent/AgentPool.ts"
import { TaskId } from "../domain/Ids.ts"
import { millisOf } from "../domain/Monotonic.ts"
import { EventBus } from "../event/EventBus.ts"
import type { TaskBid } from "../message/Bid.ts"
import * as Alarm from "./Alarm.ts"
import { order } from "./Auction.ts"
import type { Here } from "./Here.ts"
import type { AuctionSettings } from "./PlacementSettings.ts"
import { ableFor } from "./Router.ts"
import type { TaskRecord } from "./TaskRecord.ts"

/** What this node could do for a task. */
export interface Offer {
  /** Who would take it. */
  readonly agent: string
  readonly agents: ReadonlyArray<AgentSnapshot>
  /** It goes on with a conversation that this node has, so that nobody else can take it. */
  readonly only: boolean
}

export interface PlacementShape {
  /** Where not, `changes` says when to ask again. "pass": what comes behind it need not wait for it. */
  mayTake(task: TaskRecord, offer: Offer): Effect.Effect<"take" | "wait" | "pass">
  /** It has been claimed. */
  taken(claimed: TaskRecord, offer: Offer): Effect.Effect<void>
  /** Tasks that are left to others for now. */
  readonly passed: Effect.Effect<ReadonlyArray<string>>
  /** Live once the Effect completes. */
  readonly changes: Effect.Effect<Stream.Stream<void>, never, Scope.Scope>
}

/** By default everything is taken. */
export const Placement = Context.Reference<PlacementShape>("mister-smith/task/Placement", {
  defaultValue: () => ({
    mayTake: () => Effect.succeed("take" as const),
    taken: () => Effect.void,
    passed: Effect.succeed([]),
    changes: Effect.succeed(Stream.never)
  })
})

/** Where bids are said and heard. */
export interface Bids {
  /** What cannot be said is not heard: then this node waits for nobody. */
  say(bid: TaskBid): Effect.Effect<boolean>
  /** Those of this node too, or not. */
  readonly heard: Stream.Stream<TaskBid>
}

/** Tasks that are thought of at a time; of more, the oldest are forgotten, and begin anew when they are met again. */
const MAX_TASKS = 1_000
/** Bids for one task that are kept, and that an event tells of. */
const MAX_BIDS = 1_000
const MAX_TOLD = 20
/** Bids for a task that this node has not met, or not for this time. */
type Early = Pick<Waiting, "attempt" | "since" | "bids">

/** What nobody asks for any more is forgotten after so long, in milliseconds. */
const FORGET = 10 * 60_000

/** A task that waits, since this node has met it. */
interface Waiting {
  readonly attempt: number
  readonly since: number
  /** It is left to the node that has begun it. */
  passed: { readonly to: string; readonly until: number } | undefined
  readonly bids: Map<string, TaskBid>
  /** When this node has bid. */
  bidAt: number | undefined
  /** The best first, once the time for bids is over. */
  order: ReadonlyArray<TaskBid> | undefined
  /** Something is to be looked at then. */
  wakeAt: number | undefined
}

export interface PlacementOptions {
  readonly here: Here
  readonly settings: AuctionSettings & { readonly sticky: Duration.Duration }
  /** None: there is no auction. */
  readonly bids: Bids | undefined
}

const keep = (bids: Map<string, TaskBid>, bid: TaskBid) => {
  if (bids.has(bid.node) || bids.size < MAX_BIDS) bids.set(bid.node, bid)
}

/** For one more. */
const makeRoom = (tasks: Map<string, unknown>) => {
  const [oldest] = tasks.keys()
  if (tasks.size >= MAX_TASKS && oldest !== undefined) tasks.delete(oldest)
}

export const make = Effect.fnUntraced(function* ({
  bids,
  here,
  settings
}: PlacementOptions): Effect.fn.Return<PlacementShape, never, EventBus | Scope.Scope> {
  const bus = yield* EventBus
  const changed = yield* Effect.acquireRelease(PubSub.sliding<void>(1), PubSub.shutdown)
  const [grace, sticky, window] = [settings.grace, settings.sticky, settings.window].map(Duration.toMillis) as [
    number,
    number,
    number
  ]
  const waiting = new Map<string, Waiting>()
  /** Apart from what this node waits for: whatever is said of tasks, that begins anew only as the ledger does. */
  const early = new Map<string, Early>()
  const { others } = here

  const met = (task: string, attempt: number, now: number): Waiting => {
    const known = waiting.get(task)
    if (known !== undefined && known.attempt >= attempt) return known
    waiting.delete(task)
    makeRoom(waiting)
    const heard = early.get(task)
    early.delete(task)
    const fresh: Waiting = {
      attempt,
      since: now,
      passed: undefined,
      bids: heard?.attempt === attempt ? new Map(heard.bids) : new Map(),
      bidAt: undefined,
      order: undefined,
      wakeAt: undefined
    }
    waiting.set(task, fresh)
    return fresh
  }

  const keepEarly = (bid: TaskBid, now: number) => {
    const { attempt, task } = bid
    let known = early.get(task)
    if (known === undefined || known.attempt < attempt) {
      early.delete(task)
      makeRoom(early)
      known = { attempt, since: now, bids: new Map() }
      early.set(task, known)
    }
    if (known.attempt === attempt) keep(known.bids, bid)
  }

  /** On a clock that nobody sets: a task must not wait for a day because the other one was put right. */
  const clock = yield* Clock.Clock
  const time = Effect.sync(() => millisOf(clock))
  const onTheWall = (at: number) => clock.currentTimeMillisUnsafe() + Math.ceil(at - millisOf(clock))
  const alarm = yield* Alarm.make(
    Effect.gen(function* () {
      const now = yield* time
      let next: number | undefined
      let due = false
      for (const [task, entry] of waiting) {
        if (entry.wakeAt !== undefined && entry.wakeAt <= now) {
          due = true
          entry.wakeAt = undefined
        }
        if (entry.wakeAt !== undefined) next = Math.min(next ?? entry.wakeAt, entry.wakeAt)
        else if (!due && now - entry.since > FORGET + sticky) waiting.delete(task)
      }
      for (const [task, { since }] of early) if (now - since > FORGET) early.delete(task)
      if (due) yield* PubSub.publish(changed, undefined)
      return next === undefined ? undefined : onTheWall(next)
    })
  )
  const wake = (entry: Waiting, at: number) => {
    entry.wakeAt = at
    alarm.set(onTheWall(at))
  }

  const isAlone = () => others !== undefined && !others.all().some(({ state }) => state === "alive")
  const counts = ({ node }: TaskBid) => {
    const standing = node === here.node ? "alive" : others?.standing(node)
    return standing !== "suspected" && standing !== "dead"
  }

  const bidOf = ({ attempt, id, node, spec, before }: TaskRecord, { agent, agents }: Offer): TaskBid => {
    const up = agents.filter(({ gone, state }) => !gone && state !== "terminated")
    const able = ableFor({ spec } as TaskRecord, agents)
    const idle = able._tag === "Able" ? able.able.filter(({ state }) => state === "idle") : []
    const meant = agents.find(({ id }) => id === agent)
    const { price, quotaUsd } = settings
    const spent = agents.reduce((sum, { costUsd = 0 }) => sum + costUsd, 0)
    return {
      task: TaskId.make(id),
      attempt,
      node: here.node,
      free: Math.max(1, idle.length),
      slots: Math.max(1, up.length),
      warm: attempt > before && node === here.node,
      spare: Math.max(0, (meant?.capabilities.length ?? 0) - (spec.capabilities?.length ?? 0)),
      ...(quotaUsd === undefined ? {} : { quotaUsd: quotaUsd - spent }),
      ...(price === undefined ? {} : { price })
    }
  }

  const bid = Effect.fnUntraced(function* (entry: Waiting, own: TaskBid, now: number, { say }: Bids) {
    entry.bids.set(own.node, own)
    entry.bidAt = now
    if (!(yield* say(own))) return "take" as const
    wake(entry, now + window)
    return "wait" as const
  })

  /** Whose bid is best, of those that were heard in time. */
  const decide = (entry: Waiting) => (entry.order ??= order([...entry.bids.values()].filter(counts)))

  const hear = (heard: TaskBid) =>
    Effect.flatMap(time, (now) => {
      if (heard.node === here.node) return Effect.void
      const entry = waiting.get(heard.task)
      if (entry === undefined || entry.attempt < heard.attempt) return Effect.sync(() => keepEarly(heard, now))
      if (entry.attempt !== heard.attempt) return Effect.void
      const withdrawn = heard.free === 0
      if (entry.order !== undefined) {
        // Too late to be considered; but whoever can not take it after all is not waited for.
        if (!withdrawn) return Effect.void
        entry.order = entry.order.filter(({ node }) => node !== heard.node)
      } else keep(entry.bids, heard)
      return Effect.asVoid(PubSub.publish(changed, undefined))
    })
  if (bids !== undefined) yield* Effect.forkScoped(Stream.runForEach(bids.heard, hear))

  const auction = Effect.fnUntraced(function* (task: TaskRecord, entry: Waiting, offer: Offer, now: number, to: Bids) {
    if (entry.bidAt === undefined) return yield* bid(entry, bidOf(task, offer), now, to)
    const decided = entry.bidAt + window
    if (now < decided) {
      wake(entry, decided)
      return "wait" as const
    }
    const [best] = decide(entry)
    if (best === undefined || best.node === here.node || now >= decided + grace) return "take" as const
    wake(entry, decided + grace)
    return "wait" as const
  })

  /** Whoever is not there any more is waited for no longer. */
  const isPassed = ({ passed }: Waiting, now: number) =>
    passed !== undefined && now < passed.until && others?.lives(passed.to) === true

  const mayTake = Effect.fnUntraced(function* (task: TaskRecord, offer: Offer) {
    const { attempt, before, id, node, spec } = task
    if (offer.only || spec.node === here.node) return "take" as const
    const now = yield* time
    if (attempt > before && node !== undefined) {
      if (node === here.node) return "take" as const
      const entry = met(id, attempt, now)
      entry.passed = { to: node, until: entry.since + sticky }
      if (isPassed(entry, now)) {
        wake(entry, entry.passed.until)
        return "pass" as const
      }
    }
    // Where nodes bid, bids say who tries.
    if (bids === undefined) return (here.handing?.leftFor(task) ?? 0) > 0 ? ("wait" as const) : ("take" as const)
    if (isAlone()) return "take" as const
    return yield* auction(task, met(id, attempt, now), offer, now, bids)
  })

  const taken = Effect.fnUntraced(function* ({ attempt, id }: TaskRecord, { agents }: Offer) {
    const entry = waiting.get(id)
    waiting.delete(id)
    if (bids === undefined) return
    const own = entry?.bids.get(here.node)
    if (entry !== undefined && own !== undefined) {
      const all = decide(entry).slice(0, MAX_TOLD)
      yield* bus.publish({
        type: "task.placed",
        task: id,
        attempt,
        node: here.node,
        by: all[0]?.node === here.node ? "best_bid" : "grace",
        bids: all.map(({ free, node, price, quotaUsd, slots, spare, warm }) => ({
          node,
          free,
          slots,
          warm,
          spare,
          ...(quotaUsd === undefined ? {} : { quotaUsd }),
          ...(price === undefined ? {} : { price })
        }))
      })
    }
    // The last one that was idle has something to do now: what else it has bid for is for others.
    if (agents.filter(({ state }) => state === "idle").length > 1) return
    for (const [task, other] of waiting) {
      const own = other.bids.get(here.node)
      if (own === undefined) continue
      waiting.delete(task)
      yield* bids.say({ ...own, free: 0 })
    }
  })

  return {
    mayTake,
    taken,
    passed: Effect.map(time, (now) => [...waiting].flatMap(([task, entry]) => (isPassed(entry, now) ? [task] : []))),
    changes: Effect.map(PubSub.subscribe(changed), Stream.fromSubscription)
  }
})
