/**
 * What nodes hold without a lease of its own: each as long as it lives. What one held that is gone is free, and so is what
 * is said to be held by this one and nobody here makes: the answer to a claim was lost, or an earlier life made it.
 */
import { wordOf } from "./JetStreamEntry.ts"
import type { JetStreamMirror } from "./JetStreamMirror.ts"
import type { JetStreamPeers } from "./JetStreamPeers.ts"

/** Own signs of life after which an attempt of this node of which it knows nothing is given up. */
const ORPHANED = 2

export class JetStreamHolding {
  private readonly node: string
  private readonly mirror: JetStreamMirror
  private readonly peers: JetStreamPeers
  /** What this process holds, by task. */
  private readonly mine = new Map<string, number>()
  /** Own signs of life since it was found, by attempt that nobody here knows. */
  private readonly orphans = new Map<string, number>()

  constructor(node: string, mirror: JetStreamMirror, peers: JetStreamPeers) {
    this.node = node
    this.mirror = mirror
    this.peers = peers
  }

  /** This process has begun it. */
  begun(task: string, attempt: number): void {
    this.mine.set(task, attempt)
  }

  /** How many that node holds. */
  heldBy(word: string): number {
    let tasks = 0
    for (const { owner } of this.mirror.owned()) tasks += Number(wordOf(owner) === word)
    return tasks
  }

  isHere(task: string): boolean {
    return this.mirror.entry(task)?.owner === this.node
  }

  /** What those held who are gone is queued again. */
  takeOver(now: number): void {
    for (const { owner, record } of [...this.mirror.owned()])
      if (record.leaseUntil === undefined && owner !== this.node && this.peers.isGone(owner))
        this.mirror.expire(record, now)
  }

  giveUpOrphans(now: number): void {
    const unknown = new Set<string>()
    for (const { owner, record } of [...this.mirror.owned()]) {
      if (record.leaseUntil !== undefined || owner !== this.node) continue
      if (this.mine.get(record.id) === record.attempt) continue
      unknown.add(record.id)
      const found = (this.orphans.get(record.id) ?? 0) + 1
      this.orphans.set(record.id, found)
      if (found >= ORPHANED) this.mirror.expire(record, now)
    }
    for (const id of this.orphans.keys()) if (!unknown.has(id)) this.orphans.delete(id)
    for (const [id, attempt] of this.mine) {
      const record = this.mirror.get(id)
      if (record?.state !== "running" || record.attempt !== attempt) this.mine.delete(id)
    }
  }
}
