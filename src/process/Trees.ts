/**
 * All trees of this runtime that are alive, and who is in them. One walk of /proc answers everybody who asks in the same
 * moment, so that a hundred trees are ended at the cost of one; and where the kernel says that nothing was born since the
 * last walk, the next one need not list everything again.
 */
import { Effect } from "effect"
import * as Births from "./Births.ts"
import type { Group } from "./Cgroup.ts"
import { type Members, Membership, type Run } from "./Membership.ts"
import type { ProcessLimits, Unenforced } from "./ProcessLimits.ts"
import { available, groupExists, signal, signalLed } from "./ProcessTable.ts"
import type * as ProcFs from "./ProcFs.ts"

export interface Tree extends Run {
  readonly cgroup: Group | undefined
  justEnded: boolean
  /** The leader has ended, and its group has never been seen empty since: then the number is still the group's. */
  holdsGroup: boolean
  limits: ProcessLimits | undefined
  unenforced: ReadonlyArray<Unenforced>
  /** Set when it was ended for using more than it may. */
  exceeded: Exceeded | undefined
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Since when it is paused, on the monotonic clock; undefined while it is not. */
  pausedSince: number | undefined
  /** In earlier pauses. Milliseconds. */
  pausedBefore: number
}

/** A limit that ended a tree, with its figures. */
export interface Exceeded {
  readonly limit: "memory" | "processes"
  /** Bytes, or a count. */
  readonly allowed: number
  readonly used: number
  /** The kernel's own doing, or seen by a look. */
  readonly by: "kernel" | "sampler"
}

export interface Walk {
  readonly table: ReadonlyMap<number, ProcFs.ProcEntry>
  /** By marker. */
  readonly members: ReadonlyMap<string, Members>
}

/** One that saw nothing at all, not even ourselves, because no file could be opened. It proves nothing. */
export const isBlind = ({ table }: Pick<Walk, "table">): boolean => available && table.size === 0

/** How often the group of a leader that has ended is looked at. */
const WATCH_MILLIS = 20

export class Trees {
  /** By marker. */
  readonly live = new Map<string, Tree>()
  private readonly membership: Membership
  private readonly births = Births.make()
  private waiting: Array<(walk: Walk) => void> = []
  private scheduled = false

  constructor(spared: () => Iterable<number>) {
    this.membership = new Membership(spared)
  }

  /** Synchronous; some milliseconds. */
  walkNow(): Walk {
    const table = this.births.walk()
    // Nothing is learnt from one that saw nothing, and nothing forgotten.
    if (isBlind({ table })) return { table, members: new Map() }
    const members = this.membership.of([...this.live.values()], table)
    for (const tree of this.live.values()) {
      if (!tree.justEnded) continue
      tree.justEnded = false
    }
    return { table, members }
  }

  /**
   * The leader has just ended. Who is in its group is found out while the number can be nobody else's, and the group is
   * watched from now on: no machine gives all its numbers away between two looks.
   */
  ended(tree: Tree): void {
    tree.justEnded = true
    this.lookSoon()
    const look = () => {
      tree.holdsGroup = this.live.get(tree.marker) === tree && groupExists(tree.leader.pid)
      if (tree.holdsGroup) setTimeout(look, WATCH_MILLIS).unref()
    }
    look()
  }

  /** A walk that begins after this was asked for, shared with all who ask before it begins. */
  readonly walk: Effect.Effect<Walk> = Effect.callback((resume) => {
    this.waiting.push((walk) => resume(Effect.succeed(walk)))
    this.lookSoon()
  })

  /** The same, where only what the walk learns for later ones is wanted. */
  lookSoon(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      const asked = this.waiting
      this.waiting = []
      const walk = this.walkNow()
      for (const answer of asked) answer(walk)
    })
  }

  /** SIGKILL for every tree, at once and without waiting. */
  killAll(): void {
    for (const { cgroup, leader } of this.live.values()) {
      cgroup?.kill()
      signalLed(leader, "SIGKILL")
    }
    for (const members of this.walkNow().members.values()) for (const member of members) signal(member, "SIGKILL")
  }
}
