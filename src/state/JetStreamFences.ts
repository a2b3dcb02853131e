/**
 * What may stand over which value of a bucket with replicas.
 *
 * nats-server 2.9 looks at the expected revision before it has the write agreed on, and not again: of two writes at one
 * moment both are kept, unless they expect that nothing is there (measured: 219 of 500 pairs, and 0 of 500). So each value
 * has an id, and what is to stand over it is first made as a key of its own that names that id, in a stream beside: only one
 * can. This is the decision; it holds the new value, so that whoever finds it, and the old one still in its place, writes it
 * there for a writer that has died. A value that stands there twice, because an answer was lost, has one id and one successor.
 *
 * Promises: of all who write over one value at most one is told that it was kept, whoever dies in between. What is under no
 * key yet needs no fence, and is left to the bucket.
 */
import { BucketUnusable } from "./BucketError.ts"
import { type JetStreamMessages, type Marked, PAUSE, type Place, type Put, pause } from "./JetStreamMessages.ts"

/** How often it is looked whether who was first has written his value, before it is done for him. */
const LOOKS = 4
/** Values of which it is known here under which id they stand; of others it is read when it is needed. */
const MAX_KNOWN = 50_000

/** Which value it is, and from which revision to which it is known to stand: its copies have the same id. */
interface Standing {
  readonly id: string
  readonly from: number
  readonly to: number
}

export interface FencesOptions {
  readonly messages: JetStreamMessages
  /** Where the value of a key stands. */
  readonly place: (key: string) => Place
  /** Where it is decided what comes after the value of this id. */
  readonly fence: (key: string, over: string) => Place
}

/** Its id says enough. */
const nobody = () => false

export class JetStreamFences {
  private readonly messages: JetStreamMessages
  private readonly place: FencesOptions["place"]
  private readonly fence: FencesOptions["fence"]
  /** Under which id the last value of a key stands, and from which revision to which. */
  private readonly known = new Map<string, Standing>()

  constructor({ fence, messages, place }: FencesOptions) {
    this.messages = messages
    this.place = place
    this.fence = fence
  }

  /** `value.revision` is the one that it is to be written over. */
  async put(key: string, value: Marked): Promise<Put> {
    const over = await this.standing(key, value.revision)
    if (over === undefined) return undefined
    const place = this.fence(key, over)
    const message = { place, bytes: value.bytes, id: value.id }
    if ((await this.messages.write(message, { lastSubjectSequence: 0 }, nobody)) !== undefined)
      return this.follow(key, over, value)
    // Whoever was first writes it now, if he lives.
    for (let looks = 0; looks < LOOKS; looks++) {
      if ((await this.standing(key, value.revision)) !== over) return undefined
      await pause(PAUSE)
      await this.readMarked(key)
    }
    const first = await this.messages.read(place)
    if (first.revision !== 0) await this.follow(key, over, { ...first, revision: value.revision })
    return undefined
  }

  /** That the value of this id stands at this revision of a key: who has read, heard or written it says so. */
  note(key: string, id: string, revision: number): void {
    const known = this.known.get(key)
    if (known?.id !== id && known !== undefined && known.to > revision) return
    this.known.delete(key)
    const { from, to } = known?.id === id ? known : { from: revision, to: revision }
    this.known.set(key, { id, from: Math.min(from, revision), to: Math.max(to, revision) })
    if (this.known.size <= MAX_KNOWN) return
    for (const oldest of this.known.keys()) {
      this.known.delete(oldest)
      return
    }
  }

  /** The stream is another one: what was known is of no use there. */
  forget(): void {
    this.known.clear()
  }

  /** The id of the value that stands at this revision; undefined where another one has come after it. */
  private async standing(key: string, revision: number): Promise<string | undefined> {
    const known = this.known.get(key)
    const { from, id, to } = known !== undefined && known.to >= revision ? known : await this.readMarked(key)
    return from <= revision && revision <= to ? id : undefined
  }

  /** Puts what was decided in its place. Whoever does it: it stands there, or something that came after it. */
  private async follow(key: string, over: string, { bytes, id, revision: before }: Marked): Promise<Put> {
    const message = { place: this.place(key), bytes, id }
    const until = this.messages.until()
    for (let expected = before; ; ) {
      const revision = await this.messages.write(message, { lastSubjectSequence: expected }, nobody)
      if (revision !== undefined) {
        this.note(key, id, revision)
        return revision
      }
      const there = await this.readMarked(key)
      if (there.id === id) return there.at
      if (there.id !== over) {
        // Where something was written over it, it has stood there: another one has put it in its place.
        if ((await this.messages.read(this.fence(key, id))).revision !== 0) return before + 1
        // Else it was decided on what was true long ago, and comes to nothing; or the servers have lost what it is to stand
        // over, which nobody can have taken away because that would have been decided in its place.
        if (there.at !== 0) return undefined
      }
      if (this.messages.givenUp(until)) {
        const detail = `${key} cannot be written over`
        throw new BucketUnusable({ where: this.messages.where, problem: "contended", detail })
      }
      // A second copy, or a server that has just come to lead and does not know yet what it refuses by.
      // Of a copy another server may have told a later revision: what counts is where the leader has it.
      if (there.at === expected) await pause(PAUSE)
      expected = there.at
    }
  }

  /** As the leader has it. */
  private async readMarked(key: string): Promise<Standing & { readonly at: number }> {
    const { id, revision } = await this.messages.read(this.place(key))
    if (revision !== 0) this.note(key, id, revision)
    const known = this.known.get(key)
    return { ...(known?.id === id ? known : { id, from: revision, to: revision }), at: revision }
  }
}
