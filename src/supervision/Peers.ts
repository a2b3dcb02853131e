/**
 * Which of several others are alive, judged by the signs of life that are heard of them: phi accrual for each, over its own
 * rhythm. Silent for `after`, and for longer than fits its rhythm, it is dead; after `longest` in any case. Pure: it is told
 * the time of a `Hearing`, so that it does not hold its own deafness against others.
 */
import { PhiAccrual } from "./PhiAccrual.ts"

export interface PeerSettings {
  /** The rhythm of who has told none, in milliseconds. */
  readonly every: number
  /** A shorter silence is no death, however even the rhythm was. */
  readonly after: number
  /** A longer one is, however uneven it was. */
  readonly longest: number
  /** Phi from which it is suspected, and from which it is dead. */
  readonly suspectAt: number
  readonly deadAt: number
}

export type PeerState = "alive" | "suspected" | "dead" | "left"

export interface PeerView {
  readonly peer: string
  readonly state: PeerState
  readonly phi: number
  readonly silenceMillis: number
}

/** It has come to be this, after it was that. */
export interface PeerChange extends PeerView {
  readonly from: PeerState
}

/** What a sign of life says besides. */
export interface Sign {
  /** Of this run of the peer, and of no other. */
  readonly life: string
  /** How often it means to give one, in milliseconds. */
  readonly every?: number | undefined
  /** False: it is one more, out of the rhythm. */
  readonly regular?: boolean
}

/** Of the rhythm: what a single interval may differ without being remarkable. */
const SPREAD = 1 / 4
const WINDOW = 100
/** A rhythm that is told is believed within these bounds, in milliseconds. */
const [SHORTEST, LONGEST] = [10, 60 * 60_000]
/** Heartbeats that must be missing, even of one who gives them more rarely than `longest`. */
const MISSED = 2
/** Peers that are remembered; of more, those that are gone are forgotten first. */
export const MAX_PEERS = 10_000

interface Peer {
  life: string
  every: number
  accrual: PhiAccrual
  state: PeerState
  /** When it said good-bye. */
  leftAt: number
  /** Nobody has heard it speak: it is only known that it has spoken. */
  stale: boolean
}

export class Peers {
  private readonly settings: PeerSettings
  private readonly peers = new Map<string, Peer>()
  private readonly changed: Array<PeerChange> = []

  constructor(settings: PeerSettings) {
    this.settings = settings
  }

  private accrual(every: number, now: number): PhiAccrual {
    const minDeviationMillis = every * SPREAD
    return new PhiAccrual(
      { window: WINDOW, minDeviationMillis, acceptablePauseMillis: 0, firstEstimateMillis: every },
      now
    )
  }

  /** A sign of life. `clear`: it has come when it was given. `stale`: it was given at some time before. */
  hear(name: string, now: number, sign: Sign, clear = true, stale = false): void {
    const every = Math.min(LONGEST, Math.max(SHORTEST, sign.every ?? this.settings.every))
    const peer = this.peers.get(name)
    if (peer === undefined || peer.life !== sign.life || peer.every !== every || peer.state === "left") {
      const from = peer?.state ?? "alive"
      const silenceMillis = peer?.accrual.silenceMillis(now) ?? 0
      this.peers.set(name, {
        life: sign.life,
        every,
        accrual: this.accrual(every, now),
        state: "alive",
        leftAt: 0,
        stale
      })
      if (from === "suspected" || from === "dead")
        this.changed.push({ peer: name, from, state: "alive", phi: 0, silenceMillis })
      if (peer === undefined) this.bound()
      return
    }
    const { accrual, state } = peer
    const silenceMillis = accrual.silenceMillis(now)
    if (sign.regular !== false && clear && state === "alive" && !peer.stale) accrual.beat(now)
    else accrual.sign(now, sign.regular !== false)
    peer.stale = stale
    if (state === "alive") return
    peer.state = "alive"
    this.changed.push({ peer: name, from: state, state: "alive", phi: accrual.phi(now), silenceMillis })
  }

  /** It must be somewhere, but nothing has been heard of it. */
  expect(name: string, now: number): void {
    if (!this.peers.has(name)) this.hear(name, now, { life: "" }, false, true)
  }

  /** It has said good-bye: it has let go of all that it held, and is dead when it does not come back. */
  leave(name: string, now: number): void {
    const peer = this.peers.get(name)
    if (peer === undefined || peer.state === "dead") return
    peer.state = "left"
    peer.leftAt = now
  }

  /** What all of them have come to be since it was asked last. */
  judge(now: number): ReadonlyArray<PeerChange> {
    for (const [name, peer] of this.peers) {
      const { accrual, state: from } = peer
      if (from === "dead") continue
      const silenceMillis = accrual.silenceMillis(now)
      if (from === "left") {
        if (now - peer.leftAt < this.settings.after) continue
        peer.state = "dead"
        this.changed.push({ peer: name, from, state: "dead", phi: accrual.phi(now), silenceMillis })
        continue
      }
      const state = this.isDead(peer, now)
        ? "dead"
        : accrual.phi(now) >= this.settings.suspectAt
          ? "suspected"
          : "alive"
      if (state === from) continue
      peer.state = state
      this.changed.push({ peer: name, from, state, phi: accrual.phi(now), silenceMillis })
    }
    return this.changed.splice(0)
  }

  private longest(every: number): number {
    return Math.max(this.settings.longest, every * MISSED)
  }

  private isDead({ accrual, every }: Peer, now: number): boolean {
    const { after, deadAt } = this.settings
    const silence = accrual.silenceMillis(now)
    return silence >= this.longest(every) || (silence >= after && accrual.phi(now) >= deadAt)
  }

  /** How long it will be, at the least, until one is judged otherwise if nothing is heard. */
  next(now: number): number {
    const { after, deadAt, suspectAt } = this.settings
    let next = Number.POSITIVE_INFINITY
    for (const { accrual, every, state } of this.peers.values()) {
      if (state === "left" || state === "dead") continue
      const dead = Math.min(this.longest(every), Math.max(after, accrual.silenceAt(deadAt)))
      const at = state === "alive" ? Math.min(dead, accrual.silenceAt(suspectAt)) : dead
      next = Math.min(next, at - accrual.silenceMillis(now))
    }
    return Math.max(0, next)
  }

  /** Undefined: nothing is known of it. */
  stateOf(name: string): PeerState | undefined {
    return this.peers.get(name)?.state
  }

  /** Has it ever been heard to speak? */
  wasHeard(name: string): boolean {
    return this.peers.get(name)?.stale === false
  }

  views(now: number): ReadonlyArray<PeerView> {
    return Array.from(this.peers, ([peer, { accrual, state }]) => ({
      peer,
      state,
      phi: accrual.phi(now),
      silenceMillis: accrual.silenceMillis(now)
    }))
  }

  private bound(): void {
    for (const [name, { state }] of this.peers) {
      if (this.peers.size <= MAX_PEERS) return
      if (state === "left" || state === "dead") this.peers.delete(name)
    }
  }
}
