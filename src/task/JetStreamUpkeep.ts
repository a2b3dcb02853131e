/**
 * What a node does in the ledger's bucket from time to time for no task in particular: it ends what others have left half done,
 * takes away what is forgotten, compares what it knows with what is there, and looks whether it is still the same bucket.
 *
 * A stream that somebody has deleted is never made again here: a backup may be meant to come in its place. Where another one
 * stands there, made by a node that was started since, its numbers have nothing to do with those of the one before: all that is there
 * is heard anew, and what this node knows and it lacks is put there. Of what two nodes know of one task the further counts
 * (JetStreamMirror.ts), so that it makes no difference which of them is first.
 */
import { isAway } from "../state/HomeProblem.ts"
import type { JetStreamBucket } from "../state/JetStreamBucket.ts"
import * as Audit from "./JetStreamAudit.ts"
import type { JetStreamCommit } from "./JetStreamCommit.ts"
import { besideAll, taskKey } from "./JetStreamEntry.ts"
import type { JetStreamMirror } from "./JetStreamMirror.ts"
import { JetStreamPieces } from "./JetStreamPieces.ts"
import { explain } from "./JetStreamUnusable.ts"

export interface UpkeepOptions {
  readonly bucket: JetStreamBucket
  readonly mirror: JetStreamMirror
  readonly commit: JetStreamCommit
  /** All that is there is told again; completes when it is known, if that is not too long. */
  readonly hearAnew: () => Promise<void>
}

export class JetStreamUpkeep {
  private readonly options: UpkeepOptions
  private readonly pieces: JetStreamPieces
  private tidied = 0
  private movedIn = 0
  private moving: Promise<void> | undefined
  /** All that this node knows is to be compared. */
  private owes = false

  constructor(options: UpkeepOptions) {
    this.options = options
    this.pieces = new JetStreamPieces(options.bucket, options.mirror, options.commit)
  }

  /** How often the bucket was found to be another one. */
  renewals(): number {
    return this.movedIn
  }

  /**
   * Fails where the bucket is not there. Where another stands in its place, what this node knows is put there: all that lacks,
   * and what others who knew less have put there. Whoever asks meanwhile waits for the same.
   */
  moveIn(): Promise<void> {
    this.moving ??= this.movedInOnce().finally(() => {
      this.moving = undefined
    })
    return this.moving
  }

  private async movedInOnce(): Promise<void> {
    const { bucket, hearAnew, mirror } = this.options
    if (await bucket.isNew()) {
      mirror.rebase()
      this.movedIn++
      this.owes = true
    }
    if (!this.owes) return
    await hearAnew()
    await this.audit()
    await this.pieces.audit()
    this.owes = false
  }

  async tidy(): Promise<void> {
    const { bucket, commit, mirror } = this.options
    await this.moveIn()
    let failed: { readonly error: unknown } | undefined
    // What stands in the way of one stands in no other's.
    for (const { key, tx } of [...mirror.locks()]) {
      try {
        await commit.unlock(key, tx)
      } catch (error) {
        if (isAway(explain(bucket.where, error).problem)) throw error
        failed ??= { error }
      }
    }
    await commit.endLeft()
    for (let next = mirror.erased.shift(); next !== undefined; next = mirror.erased.shift()) {
      const { id, revision } = next
      try {
        if (await commit.erase(taskKey(id), revision)) await bucket.sweep(besideAll(id))
      } catch (error) {
        mirror.erased.unshift(next)
        throw error
      }
    }
    if (++this.tidied % Audit.EVERY === 0) {
      await this.audit()
      await this.pieces.audit()
    }
    if (failed !== undefined) throw failed.error
  }

  private audit(): Promise<void> {
    const { bucket, commit, mirror } = this.options
    return Audit.audit(bucket, mirror, (key, lost) => commit.renew(key, lost))
  }
}
