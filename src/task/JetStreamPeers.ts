/**
 * The other nodes of a bucket, by the signs of life that they write into it. Each is judged only as of a moment at which
 * all that was written before has been heard, because an own word that was written then has come back; so it is the order in
 * the stream that decides together with the time that has passed here, and no two clocks are compared. Who stood still or
 * was cut off passes no verdict for that time.
 */
import { Hearing } from "../supervision/Hearing.ts"
import { type PeerChange, type PeerSettings, type PeerState, Peers, type PeerView } from "../supervision/Peers.ts"
import { wordOf } from "./JetStreamEntry.ts"
import { signOf } from "./JetStreamShape.ts"

/** How much later than meant an own word may come back before it counts as deafness, as a part of the heartbeat. */
const SLACK = 1.5
/** Between two looks, as a part of the heartbeat. */
const SHORTEST_LOOK = 1 / 20

/** What a node writes about itself. Earlier versions wrote only the first two. */
export interface Beat {
  readonly session: string
  readonly beat: number
  readonly every?: number
  /** One more, out of the rhythm. */
  readonly extra?: true
}

export class JetStreamPeers {
  private readonly self: string
  readonly settings: PeerSettings
  private readonly hearing: Hearing
  private readonly peers: Peers
  private whole = false

  constructor(node: string, settings: PeerSettings) {
    this.self = wordOf(node)
    this.settings = settings
    this.hearing = new Hearing(performance.now(), settings.every * SLACK)
    this.peers = new Peers(settings)
  }

  /** All that was there is known: what comes now has just been written. */
  complete(): void {
    this.whole = true
  }

  /** What stands under the key of a node now. Undefined: it has said good-bye. */
  hear(word: string, bytes: Uint8Array | undefined): void {
    if (word === this.self) return
    if (bytes === undefined) {
      this.peers.leave(word, this.asOf())
      return
    }
    const beat = signOf<Beat>(bytes)
    // What no node says is no sign of life.
    if (beat === undefined) return
    const { every, extra, session } = beat
    const at = performance.now()
    const clear = this.whole && this.hearing.isClear(at)
    const sign = { life: session, every, regular: extra !== true }
    this.peers.hear(word, this.hearing.at(at), sign, clear, !this.whole)
  }

  /** To be remembered before an own sign of life is given: the moment that is judged when it has come back. */
  asOf(): number {
    return this.hearing.at(performance.now())
  }

  judge(asOf: number): ReadonlyArray<PeerChange> {
    this.hearing.back(performance.now(), this.settings.every * SLACK)
    return this.peers.judge(asOf)
  }

  /** The own sign of life has not come back. */
  deaf(): void {
    this.hearing.lost(performance.now(), this.settings.every * SLACK)
  }

  /** When it is worth looking again, at the earliest, in milliseconds. */
  next(): number {
    const { every } = this.settings
    return Math.max(every * SHORTEST_LOOK, this.peers.next(this.asOf()))
  }

  /** May what this node holds be taken over? */
  isGone(node: string): boolean {
    const word = wordOf(node)
    this.peers.expect(word, this.asOf())
    const state = this.peers.stateOf(word)
    return state === "dead" || state === "left"
  }

  /** False once it is dead. One of which nothing is known is expected to speak from now on. */
  lives(node: string): boolean {
    const word = wordOf(node)
    if (word === this.self) return true
    this.peers.expect(word, this.asOf())
    return this.peers.stateOf(word) !== "dead"
  }

  stateOf(node: string): PeerState | undefined {
    return wordOf(node) === this.self ? "alive" : this.peers.stateOf(wordOf(node))
  }

  wasHeard(word: string): boolean {
    return this.peers.wasHeard(word)
  }

  views(): ReadonlyArray<PeerView> {
    return this.peers.views(this.asOf())
  }
}
