/**
 * The name of a node at a ledger: whose it is, and that it is still this process's.
 *
 * Promises: of those who call themselves the same one has the name. Who comes second is refused and told who has it, unless
 * that one was silent for as long as others wait before they take over what it holds, or is an earlier life at the same
 * home, which is dead, because one process holds a data directory. Who had the name and was taken for dead writes nothing
 * any more as soon as it knows. The order in the stream decides, and no clock of another machine.
 */
import { BucketUnusable } from "../state/BucketError.ts"
import type { JetStreamBucket, Value } from "../state/JetStreamBucket.ts"
import { pause } from "../state/JetStreamMessages.ts"
import type { PeerSettings } from "../supervision/Peers.ts"
import { encode, nodeKey } from "./JetStreamEntry.ts"
import type { Beat } from "./JetStreamPeers.ts"
import { signOf } from "./JetStreamShape.ts"

/** How often it is looked whether who has the name is alive, while it may be. */
const LOOKS = 5

/** What stands under the key. */
interface Sign extends Beat {
  /** Which data directory on which machine, with which mark. */
  readonly home?: string
  /** The revision at which the life began. */
  readonly claim?: number
}

export interface NameOptions {
  readonly bucket: JetStreamBucket
  readonly node: string
  readonly session: string
  /** None: whoever has the name is an earlier life of this one. */
  readonly home: string | undefined
  /** How often a sign of life is given, and after how long of silence who has the name may be dead. */
  readonly peers: PeerSettings
  /** Told that another one has the name and may be alive. */
  readonly waits: (who: string) => void
}

/** A mark tells machines that are called the same apart, and means nothing to people. */
const shown = (home: string | undefined) => home?.replace(/#.*$/, "") ?? "another process"

export class JetStreamName {
  readonly key: string
  private readonly options: NameOptions
  private beats = 0
  private claim: number | undefined
  private taker: Sign | undefined

  constructor(options: NameOptions) {
    this.options = options
    this.key = nodeKey(options.node)
  }

  /** Completes when the name is this process's. */
  async take(): Promise<void> {
    const { bucket, home } = this.options
    for (;;) {
      const there = await bucket.read(this.key)
      const sign = signOf<Sign>(there.bytes)
      if (sign !== undefined && home !== undefined && sign.home !== home) {
        this.options.waits(shown(sign.home))
        if (!(await this.silent(there))) throw this.taken(sign)
      }
      const bytes = encode({ ...this.next(false), claim: undefined })
      const revision = await bucket.put(this.key, bytes, there.revision, (value) => this.isMine(value))
      if (revision === undefined) continue
      this.claim = revision
      return
    }
  }

  private async silent({ revision }: Value): Promise<boolean> {
    const { bucket, peers } = this.options
    for (let look = 0; look < LOOKS; look++) {
      await pause(peers.after / LOOKS)
      if ((await bucket.read(this.key)).revision !== revision) return false
    }
    return true
  }

  private isMine({ bytes }: Value): boolean {
    return signOf<Sign>(bytes)?.session === this.options.session
  }

  private next(regular: boolean): Sign {
    const { home, peers, session } = this.options
    return {
      session,
      beat: ++this.beats,
      every: peers.every,
      ...(regular ? {} : { extra: true }),
      ...(home === undefined ? {} : { home }),
      ...(this.claim === undefined ? {} : { claim: this.claim })
    }
  }

  /** A sign of life; answers with its revision. `regular`: one of those that are given in a rhythm. */
  async sign(regular = false): Promise<number> {
    this.check()
    const revision = await this.options.bucket.set(this.key, encode(this.next(regular)))
    // The stream was made anew, and its numbers with it.
    if (this.claim !== undefined && revision < this.claim) this.claim = revision
    return revision
  }

  /** What was heard under the key. */
  hear(revision: number, bytes: Uint8Array | undefined): void {
    const sign = signOf<Sign>(bytes)
    if (sign === undefined || this.claim === undefined) return
    // One that has an older claim was taken for dead, and will hear of it.
    if (sign.session !== this.options.session && (sign.claim ?? revision) > this.claim) this.taker = sign
  }

  /** Fails when another one has taken the name. */
  check(): void {
    if (this.taker !== undefined) throw this.taken(this.taker)
  }

  private taken({ home }: Sign): BucketUnusable {
    const { bucket, node } = this.options
    return new BucketUnusable({
      where: bucket.where,
      problem: "nameTaken",
      detail: `the node "${node}" is ${shown(home)}`
    })
  }

  /** It is free at once, unless another one has it. */
  async leave(): Promise<void> {
    const { bucket } = this.options
    const there = await bucket.read(this.key)
    if (this.isMine(there)) await bucket.put(this.key, undefined, there.revision, () => true)
  }
}
