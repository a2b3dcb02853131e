/**
 * Who is there. A node says so with every heartbeat; one that stops saying so is not listed any more after `expire`,
 * whatever became of it.
 *
 * Promises, in memory and in a bucket on the servers alike:
 * - what a node announced last is what is listed
 * - a node that leaves is gone at once, one that dies after `expire`
 * - who leaves takes away their own record only, not that of a later life under the same name
 * - a node that is told over by another one of the same name hears of it: NodeNameTaken, at its next announcement
 */
import { Clock, Context, Duration, Effect, Layer, Schedule, Stream } from "effect"
import { NodeNameTaken, type RegistryUnusable } from "./FleetError.ts"
import type { Listed, NodeRecord } from "./NodeRecord.ts"

export type Change =
  | { readonly type: "joined" | "left"; readonly node: Listed }
  /** The same life, with another status. */
  | { readonly type: "changed"; readonly node: Listed }

export interface RegistryShape {
  announce(record: NodeRecord): Effect.Effect<void, RegistryUnusable | NodeNameTaken>
  leave(node: string, life: string): Effect.Effect<void, RegistryUnusable>
  /** By name. */
  readonly list: Effect.Effect<ReadonlyArray<Listed>, RegistryUnusable>
  /** Where it is told: each announcement and each leave, as it happens. Of what grows too old there is no word. */
  readonly heard?: Stream.Stream<Heard, RegistryUnusable>
}

export interface Heard {
  readonly node: string
  /** When, by the clock of whoever keeps the list. */
  readonly at: number
  /** Undefined: it has left. */
  readonly listed: Listed | undefined
}

export class Registry extends Context.Service<Registry, RegistryShape>()("mister-smith/fleet/Registry") {
  /** For this process alone. */
  static readonly layerMemory = (expire: Duration.Duration) => Layer.sync(this, () => memory(room(), expire))
}

/** What ends in one process share. */
export type Room = Map<string, Listed>
export const room = (): Room => new Map()

/** One end at it. */
export const memory = (room: Room, expire: Duration.Duration): RegistryShape => {
  /** What this end has there, as it was written. */
  const own = new Map<string, Listed>()
  const fresh = Effect.map(Clock.currentTimeMillis, (now) => {
    for (const [node, { seenAt }] of room) if (now - seenAt >= Duration.toMillis(expire)) room.delete(node)
    return now
  })
  return {
    announce: Effect.fnUntraced(function* (record) {
      const { node } = record.status
      const now = yield* fresh
      const there = room.get(node)
      const mine = own.get(node)
      if (mine !== undefined && there !== undefined && there !== mine && there.life !== record.life) {
        own.delete(node)
        return yield* new NodeNameTaken({ node, life: there.life })
      }
      const listed = { ...record, seenAt: now }
      room.set(node, listed)
      own.set(node, listed)
    }),
    leave: (node, life) =>
      Effect.sync(() => {
        own.delete(node)
        if (room.get(node)?.life === life) room.delete(node)
      }),
    list: Effect.map(fresh, () => byName([...room.values()]))
  }
}

export const byName = (all: ReadonlyArray<Listed>): ReadonlyArray<Listed> =>
  all.toSorted((a, b) => (a.status.node < b.status.node ? -1 : 1))

/** The list that is kept, or, where that cannot be had, who answers; that nobody does either says nothing new. */
export const orElse = (
  kept: Effect.Effect<ReadonlyArray<Listed>, RegistryUnusable>,
  asked: Effect.Effect<ReadonlyArray<Listed>, RegistryUnusable>
): Effect.Effect<ReadonlyArray<Listed>, RegistryUnusable> =>
  Effect.catch(kept, (unusable) =>
    asked.pipe(
      Effect.orElseSucceed(() => []),
      Effect.flatMap((all) =>
        all.length === 0 && unusable.none !== true ? Effect.fail(unusable) : Effect.succeed(all)
      )
    )
  )

/**
 * What changes, beginning with all who are there: at once where the list tells of it. It looks at the whole list each `every` too,
 * because a record that is too old goes without a word; a look that fails is passed over, and what it would have shown is told by
 * the next.
 */
export const watch = (registry: RegistryShape, every: Duration.Input): Stream.Stream<Change> =>
  Stream.suspend(() => {
    let known: ReadonlyMap<string, Listed> = new Map()
    const look = Effect.map(Effect.option(registry.list), (list) =>
      list._tag === "None" ? known : new Map(list.value.map((listed) => [listed.status.node, listed]))
    )
    const told = (registry.heard ?? Stream.empty).pipe(Stream.retry(Schedule.spaced(HEAR_AGAIN)), Stream.orDie)
    return Stream.tick(every).pipe(
      Stream.as(undefined),
      Stream.merge(told),
      Stream.mapEffect((heard) => (heard === undefined ? look : Effect.succeed(withHeard(known, heard)))),
      Stream.flatMap((next) => {
        const found = changes(known, next)
        known = next
        return Stream.fromIterable(found)
      })
    )
  })

/** Before the list is listened to again. */
const HEAR_AGAIN = "1 second"

/** A look may have shown what is newer. */
const withHeard = (known: ReadonlyMap<string, Listed>, { at, listed, node }: Heard): ReadonlyMap<string, Listed> => {
  const before = known.get(node)
  if (before !== undefined && before.seenAt > at) return known
  const next = new Map(known)
  if (listed === undefined) next.delete(node)
  else next.set(node, listed)
  return next
}

const changes = (before: ReadonlyMap<string, Listed>, after: ReadonlyMap<string, Listed>): ReadonlyArray<Change> => [
  ...[...before.values()].flatMap(
    (node): ReadonlyArray<Change> => (after.get(node.status.node)?.life === node.life ? [] : [{ type: "left", node }])
  ),
  ...[...after.values()].flatMap((node): ReadonlyArray<Change> => {
    const was = before.get(node.status.node)
    if (was?.life !== node.life) return [{ type: "joined", node }]
    return was.status.beat === node.status.beat ? [] : [{ type: "changed", node }]
  })
]
