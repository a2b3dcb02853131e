/**
 * The sum of what a tree's processes have used of something (cpu time, bytes written) over processes that come and go.
 *
 * What a dead process had used is either passed on to the parent that waited for it, by the kernel, into the parent's
 * inherited count, or to nobody of the tree (its parent did not wait, or it was an orphan that init reaped). The kernel
 * does not say which. So the dead one's last known amount is a claim on its nearest living ancestor: where the inherited
 * count of that one, or of those above it (subreapers adopt), grows, it is taken to hold the amount; what is then
 * left of the claim is kept for ever.
 *
 * Promises: the total never falls; what a reaped child used is counted once. Where nobody waited while the ancestors reaped
 * others, it may be counted short by what these others had used; never long. That a reading is not of one instant (a
 * parent is read, then reaps, then the child is found gone, or the other way around) is allowed for: a claim stands
 * for two readings of its ancestor, and a growth can satisfy claims for one tick more.
 */
import type { ProcessIdentity } from "./ProcessTable.ts"

/** Who is there and whose child it is. */
export type Living = ReadonlyMap<number, { readonly startTime: string; readonly parent: number }>

interface Member {
  readonly startTime: string
  parent: number
  own: number
  inherited: number
  /** What its dead descendants had used and is not yet seen to have reached anyone. */
  claim: number
  /** Readings since the last claim. */
  readings: number
  /** The tick of the last reading, and of when it became known. */
  readAt: number
  readonly knownAt: number
  /** By how much `inherited` grew in the last reading, and in the one a tick before; less what satisfied claims. */
  grown: number
  grownBefore: number
}

/** A claim stands so many readings. */
const READINGS = 2

export class Tally {
  readonly #members = new Map<number, Member>()
  #kept = 0
  #tick = 0
  #total = 0

  /** As of the last `settle`. */
  get total(): number {
    return this.#total
  }

  /** Everything that is or was in the tree and lives. */
  get pids(): Iterable<number> {
    return this.#members.keys()
  }

  /** A tick begins: finds the dead and makes their amounts claims. */
  bury(living: Living): void {
    this.#tick++
    const dead: Array<Member> = []
    for (const [pid, member] of this.#members) {
      const now = living.get(pid)
      if (now?.startTime === member.startTime) member.parent = now.parent
      else dead.push(member)
    }
    if (dead.length === 0) return
    const isDead = new Set(dead)
    for (const member of dead) {
      let heir = this.#members.get(member.parent)
      for (let hops = 0; heir !== undefined && isDead.has(heir) && hops < dead.length; hops++) {
        heir = this.#members.get(heir.parent)
      }
      const amount = member.own + member.inherited + member.claim
      if (heir === undefined || isDead.has(heir)) this.#kept += amount
      else {
        heir.claim += amount
        heir.readings = 0
      }
    }
    for (const [pid, member] of this.#members) if (isDead.has(member)) this.#members.delete(pid)
  }

  /** A living process of the tree, which may be read later. Only one that is known can have inherited. */
  know({ parent, pid, startTime }: ProcessIdentity & { readonly parent: number }): Member {
    const known = this.#members.get(pid)
    if (known !== undefined) return known
    const counts = { own: 0, inherited: 0, claim: 0, readings: 0, grown: 0, grownBefore: 0 }
    const member = { startTime, parent, ...counts, readAt: Number.NEGATIVE_INFINITY, knownAt: this.#tick }
    this.#members.set(pid, member)
    return member
  }

  /** What a living process has used itself, and what it may have inherited. After `bury`, in any order, once a tick. */
  read(process: ProcessIdentity & { readonly parent: number }, own: number, inherited: number): void {
    const member = this.know(process)
    member.grownBefore = member.readAt === this.#tick - 1 ? member.grown : 0
    // What one had inherited when it was first seen was of processes never seen.
    member.grown = member.knownAt === this.#tick ? 0 : Math.max(0, inherited - member.inherited)
    member.own = own
    member.inherited = inherited
    member.readAt = this.#tick
    member.readings++
  }

  /** The tick ends: matches claims with growth, and answers with the total. */
  settle(): number {
    let sum = 0
    for (const member of this.#members.values()) {
      if (member.claim > 0) this.#satisfy(member)
      sum += member.own + member.inherited + member.claim
    }
    this.#total = Math.max(this.#total, sum + this.#kept)
    return this.#total
  }

  #satisfy(member: Member): void {
    let ancestor: Member | undefined = member
    for (let hops = 0; member.claim > 0 && ancestor !== undefined && hops < this.#members.size; hops++) {
      if (ancestor.readAt >= this.#tick - 1) {
        const before = ancestor.readAt === this.#tick ? ancestor.grownBefore : 0
        const old = Math.min(member.claim, before)
        const fresh = Math.min(member.claim - old, ancestor.grown)
        member.claim -= old + fresh
        if (ancestor.readAt === this.#tick) ancestor.grownBefore -= old
        ancestor.grown -= fresh
      }
      ancestor = this.#members.get(ancestor.parent)
    }
    if (member.readings < READINGS) return
    this.#kept += member.claim
    // Else it would be in the sum twice.
    member.claim = 0
  }
}
