/** How far the watch of a bucket has told, and who waits for it to come so far. */

/** How long what was written may take to come back through the watch, in milliseconds. */
export const BACK = 2_000

export class JetStreamSeen {
  private revision = 0
  private readonly waiting = new Set<{ readonly revision: number; readonly done: () => void }>()

  /** As far as it has told. */
  get last(): number {
    return this.revision
  }

  /** It begins anew. */
  forget(): void {
    this.revision = 0
  }

  /** It has told of this one, and whoever is to hear of it has. */
  told(revision: number): void {
    this.revision = Math.max(this.revision, revision)
    for (const each of this.waiting) if (each.revision <= this.revision) each.done()
  }

  /** Completes when what was written up to this revision is known: true; or false, when it does not come back. */
  async upTo(revision: number): Promise<boolean> {
    if (this.revision >= revision) return true
    return new Promise((resolve) => {
      const end = (back: boolean) => {
        clearTimeout(timer)
        this.waiting.delete(waiting)
        resolve(back)
      }
      const waiting = { revision, done: () => end(true) }
      const timer = setTimeout(() => end(false), BACK)
      this.waiting.add(waiting)
    })
  }
}
