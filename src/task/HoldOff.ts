/**
 * For how long a node that could take a task leaves it to the queue that gives out the tasks. Pure but for what it
 * remembers; whoever asks says when.
 *
 * Promises: a task that the queue has lost is begun all the same. A node that has an idle agent for it, has asked the queue
 * all the time and was not given it for the grace, goes for it; so does one that was given others which had come later. Where
 * the queue fails again and again it is not waited for at all, for a while.
 */

import type { TaskSpec } from "./TaskSpec.ts"
import { turnOf } from "./Turn.ts"

/** Tasks of one type that the queue may miss, one after the other, before it is not waited for. */
const MISSES = 2
/** How many times the grace it is not waited for then. */
const DISTRUST = 10
/** Tasks that were overtaken, and types, that are remembered; of more, the oldest are met anew. */
const MAX_KNOWN = 1_000

/** What the queue has to do with one type. */
interface Known {
  /** The latest turn of what was handed to this node. */
  turn: number
  misses: number
  lastMiss: string | undefined
  distrustedUntil: number
}

/** A task that is queued, since when, by the clock of whoever wrote that. */
export interface Queued {
  readonly id: string
  readonly spec: TaskSpec
  readonly queuedAt: number
}

const keep = <A>(map: Map<string, A>, key: string, value: A) => {
  const [oldest] = map.keys()
  if (map.size >= MAX_KNOWN && !map.has(key) && oldest !== undefined) map.delete(oldest)
  map.set(key, value)
}

export class HoldOff {
  private readonly grace: number
  private readonly types = new Map<string, Known>()
  /** Left to the queue at the last look, and since when at every one. */
  private since = new Map<string, number>()
  /** The same at this look. */
  private now = new Map<string, number>()
  /** What should have been handed out before something that was, and since when this is known. */
  private readonly overtaken = new Map<string, number>()
  private distrustedUntil = Number.NEGATIVE_INFINITY

  constructor(graceMillis: number) {
    this.grace = graceMillis
  }

  private known(type: string): Known {
    const known = this.types.get(type)
    if (known !== undefined) return known
    const fresh = {
      turn: Number.NEGATIVE_INFINITY,
      misses: 0,
      lastMiss: undefined,
      distrustedUntil: Number.NEGATIVE_INFINITY
    }
    keep(this.types, type, fresh)
    return fresh
  }

  /** Milliseconds; 0: it is left no longer. */
  leftFor({ id, queuedAt, spec }: Queued, now: number): number {
    const known = this.known(spec.type)
    if (now < this.distrustedUntil || now < known.distrustedUntil) return 0
    const since = this.since.get(id) ?? this.now.get(id) ?? now
    let left = since + this.grace - now
    if (turnOf(spec, queuedAt) < known.turn) {
      const overtaken = this.overtaken.get(id)
      if (overtaken === undefined) keep(this.overtaken, id, now)
      left = Math.min(left, (overtaken ?? now) + this.grace - now)
    }
    if (left > 0) {
      this.now.set(id, since)
      return left
    }
    this.missed(known, id, now)
    return 0
  }

  private missed(known: Known, id: string, now: number) {
    if (known.lastMiss === id) return
    known.lastMiss = id
    if (++known.misses >= MISSES) known.distrustedUntil = now + this.grace * DISTRUST
  }

  /** The queue has handed this task to this node. */
  handed({ id, queuedAt, spec }: Queued): void {
    const known = this.known(spec.type)
    known.turn = Math.max(known.turn, turnOf(spec, queuedAt))
    known.misses = 0
    known.lastMiss = undefined
    known.distrustedUntil = Number.NEGATIVE_INFINITY
    this.overtaken.delete(id)
  }

  /** The queue has failed: nobody waits for it. */
  distrust(now: number): void {
    this.distrustedUntil = now + this.grace * DISTRUST
  }

  /** A look is over: what was not left to the queue in it begins anew. Answers with when the first is left no longer. */
  looked(): number | undefined {
    this.since = this.now
    this.now = new Map()
    let first: number | undefined
    for (const [id, since] of this.since) {
      const until = Math.min(since, this.overtaken.get(id) ?? since) + this.grace
      first = Math.min(first ?? until, until)
    }
    return first
  }
}
