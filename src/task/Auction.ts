/**
 * Which of the bids for a task is best: a pure function of the bids, the same on every node, whatever the order in which they
 * came. What counts first: the node that has begun the task; that there is quota left; an agent that can do just what is
 * required, so that the others stay free for what only they can do; the price; the load; free agents; the quota. What is left
 * is decided by the task's name, so that it is not always the same node.
 */
import { createHash } from "node:crypto"
import type { TaskBid } from "../message/Bid.ts"

const isSpent = ({ quotaUsd }: TaskBid) => quotaUsd !== undefined && quotaUsd <= 0
/** The part of its agents that is at work. */
const load = ({ free, slots }: TaskBid) => (slots === 0 ? 1 : Math.max(0, slots - free) / slots)
const UNKNOWN = Number.POSITIVE_INFINITY

/** What is lower comes first. */
const ranks: ReadonlyArray<(bid: TaskBid) => number> = [
  ({ warm }) => (warm ? 0 : 1),
  (bid) => (isSpent(bid) ? 1 : 0),
  ({ spare }) => spare,
  ({ price = UNKNOWN }) => price,
  load,
  ({ free }) => -free,
  ({ quotaUsd = UNKNOWN }) => -quotaUsd
]

/** By chance, but the same everywhere. */
const lot = ({ attempt, node, task }: TaskBid): string =>
  createHash("sha256").update(`${task}\n${attempt}\n${node}`).digest("hex")

const compare = <A extends number | string>(one: A, other: A) => (one < other ? -1 : one > other ? 1 : 0)

const byRank = (one: TaskBid, other: TaskBid): number => {
  for (const rank of ranks) {
    const order = compare(rank(one), rank(other))
    if (order !== 0) return order
  }
  return compare(lot(one), lot(other)) || compare(one.node, other.node)
}

/** The best first, one of each node. Whoever has nobody free does not bid. */
export const order = (bids: Iterable<TaskBid>): ReadonlyArray<TaskBid> => {
  const one = new Map<string, TaskBid>()
  // Of two bids of one node the better, so that it does not matter which came last.
  for (const bid of bids) {
    const before = one.get(bid.node)
    if (bid.free > 0 && (before === undefined || byRank(bid, before) < 0)) one.set(bid.node, bid)
  }
  return [...one.values()].sort(byRank)
}
