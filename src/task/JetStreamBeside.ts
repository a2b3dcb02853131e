/**
 * What a node has heard of the pieces in which long texts stand beside their values: pieces that no value refers to yet,
 * and values that came before their pieces. A value is written after its pieces, so that one that lacks some when all before it
 * has been heard lacks them for good, until a node that knows the task whole writes it anew (JetStreamPieces.ts).
 */
import { type Beside, besideKey, type Entry, joined } from "./JetStreamEntry.ts"

/** A value whose pieces are not all here. */
export interface Early {
  readonly revision: number
  readonly bytes: Uint8Array
  /** Keys of the pieces that it lacks. */
  readonly lacks: ReadonlyArray<string>
}

/** Pieces of which it is remembered that somebody has erased them. */
const MAX_GONE = 10_000

/** To which value the piece under this key belongs: its task's, and by the id of all its pieces. */
export const refOf = (piece: string): { readonly key: string; readonly id: string } => {
  const [, task = "", id = ""] = piece.split(".")
  return { key: `task.${task}`, id }
}

export const refsOf = ({ resultIn, specIn }: Entry): ReadonlyArray<Beside> =>
  [specIn, resultIn].filter((ref) => ref !== undefined)

export const keysOf = (id: string, ref: Beside): ReadonlyArray<string> =>
  Array.from({ length: ref.parts }, (_, part) => besideKey(id, ref, part))

export class JetStreamBeside {
  /** That no value which is known refers to yet. */
  private readonly parts = new Map<string, Uint8Array>()
  private readonly values = new Map<string, Early>()
  /** What stands beside values that are known. */
  private readonly inUse = new Set<string>()
  private readonly gone = new Set<string>()

  /** Answers with the value that waits for this piece. */
  piece(piece: string, bytes: Uint8Array): readonly [key: string, value: Early] | undefined {
    const { id, key } = refOf(piece)
    this.gone.delete(piece)
    if (this.inUse.has(id)) return undefined
    this.parts.set(piece, bytes)
    // Of one task only: the others lack what they lacked before.
    const value = this.values.get(key)
    return value === undefined ? undefined : [key, value]
  }

  /** Somebody has erased a piece: no node does. */
  erased(piece: string): void {
    this.parts.delete(piece)
    if (this.inUse.has(refOf(piece).id) && this.gone.size < MAX_GONE) this.gone.add(piece)
  }

  isErased(piece: string): boolean {
    return this.gone.has(piece)
  }

  isInUse(id: string): boolean {
    return this.inUse.has(id)
  }

  early(key: string): Early | undefined {
    return this.values.get(key)
  }

  *allEarly(): Iterable<readonly [key: string, value: Early]> {
    yield* this.values
  }

  waits(key: string, value: Early): void {
    this.values.set(key, value)
  }

  waitsNoMore(key: string): void {
    this.values.delete(key)
  }

  /** The text that stands in these pieces, or the keys of those that are not here. */
  read<A>(id: string, ref: Beside): { readonly text: A } | { readonly lacks: ReadonlyArray<string> } {
    const keys = keysOf(id, ref)
    const parts = keys.flatMap((key) => this.parts.get(key) ?? [])
    return parts.length === keys.length
      ? { text: joined<A>(parts) }
      : { lacks: keys.filter((key) => !this.parts.has(key)) }
  }

  /** The pieces of this value are part of it now; those of the one before it are nobody's. */
  takes(entry: Entry, before: Entry | undefined): void {
    const refs = refsOf(entry)
    if (before !== undefined) this.leaves(before, new Set(refs.map(({ id }) => id)))
    for (const ref of refs) {
      this.inUse.add(ref.id)
      for (const key of keysOf(entry.record.id, ref)) this.parts.delete(key)
    }
  }

  /** This value is no more. */
  leaves(entry: Entry | undefined, but: ReadonlySet<string> = new Set()): void {
    if (entry === undefined) return
    for (const ref of refsOf(entry)) {
      if (but.has(ref.id)) continue
      this.inUse.delete(ref.id)
      for (const key of keysOf(entry.record.id, ref)) this.gone.delete(key)
    }
  }

  /** The bucket is another one. What is in use is known whole. */
  clear(): void {
    this.parts.clear()
    this.values.clear()
    this.gone.clear()
  }

  /** Pieces that wait for a value. */
  waiting(): ReadonlyArray<string> {
    return [...this.parts.keys()]
  }

  /** It is not in the bucket any more: it waits for nothing. */
  drop(piece: string): void {
    this.parts.delete(piece)
  }
}
