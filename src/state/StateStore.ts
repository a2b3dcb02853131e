/**
 * Small things that must outlive the process: who is in which conversation, and the like. A value is a text under a key
 * in a bucket, with a revision that only grows, so that whoever writes can say what it has seen.
 *
 * Promises: a write is whole or not at all; what is written survives the death of the process, but perhaps not that of
 * the machine, where the home says so; a `swap` on what somebody else has changed meanwhile is refused, never written
 * over it. Keys, values and buckets are bounded. What a value means is left to whoever keeps it here.
 */
import { Context, Effect, Layer } from "effect"
import { StateConflict, StateFull, type StateUnusable } from "./StateStoreError.ts"

/** The longest value, in characters. */
export const MAX_VALUE = 64 * 1024
/** Keys in one bucket. */
export const MAX_KEYS = 10_000

export interface Entry {
  readonly key: string
  readonly value: string
  /** Of the write that made it so. No other write of this store has the same. */
  readonly revision: number
}

/** The revision of what is not there. */
export const ABSENT = 0

export class StateStore extends Context.Service<
  StateStore,
  {
    get(bucket: string, key: string): Effect.Effect<Entry | undefined, StateUnusable>
    /** Whatever is there. Answers with the revision. */
    put(bucket: string, key: string, value: string): Effect.Effect<number, StateUnusable | StateFull>
    /** Only where the revision is still this one; `ABSENT`: where nothing is there. */
    swap(
      bucket: string,
      key: string,
      value: string,
      seen: number
    ): Effect.Effect<number, StateUnusable | StateFull | StateConflict>
    /** Only where the revision is still `seen`, where that is given. What is not there may be removed. */
    remove(bucket: string, key: string, seen?: number): Effect.Effect<void, StateUnusable | StateConflict>
    /** All of a bucket, by key. */
    list(bucket: string): Effect.Effect<ReadonlyArray<Entry>, StateUnusable>
  }
>()("mister-smith/state/StateStore") {
  /** Forgets with the process. */
  static readonly layerMemory = Layer.sync(this, () => inMemory())
}

/** One that can be given to several lives of a runtime. */
export const inMemory = (): StateStore["Service"] => {
  const buckets = new Map<string, Map<string, Entry>>()
  let latest = ABSENT
  const of = (bucket: string) => buckets.get(bucket) ?? new Map<string, Entry>()
  const write = (bucket: string, key: string, value: string) => {
    const entries = of(bucket)
    const full = refusal(bucket, key, value, entries.has(key) ? 0 : entries.size)
    if (full !== undefined) return Effect.fail(full)
    buckets.set(bucket, entries.set(key, { key, value, revision: ++latest }))
    return Effect.succeed(latest)
  }
  const unchanged = (bucket: string, key: string, seen: number) => {
    const current = of(bucket).get(key)?.revision ?? ABSENT
    return current === seen ? Effect.void : Effect.fail(new StateConflict({ bucket, key, seen, current }))
  }
  return StateStore.of({
    get: (bucket, key) => Effect.sync(() => of(bucket).get(key)),
    put: (bucket, key, value) => Effect.suspend(() => write(bucket, key, value)),
    swap: (bucket, key, value, seen) =>
      Effect.suspend(() =>
        Effect.andThen(
          unchanged(bucket, key, seen),
          Effect.suspend(() => write(bucket, key, value))
        )
      ),
    remove: (bucket, key, seen) =>
      Effect.suspend(() =>
        Effect.andThen(
          seen === undefined ? Effect.void : unchanged(bucket, key, seen),
          Effect.sync(() => void of(bucket).delete(key))
        )
      ),
    list: (bucket) =>
      Effect.sync(() => [...of(bucket).values()].sort(({ key: a }, { key: b }) => (a < b ? -1 : Number(a > b))))
  })
}

/** Why this is not taken by a bucket that holds so many other keys. */
export const refusal = (bucket: string, key: string, value: string, others: number): StateFull | undefined => {
  if (value.length > MAX_VALUE) return new StateFull({ bucket, key, limit: `${MAX_VALUE} characters in a value` })
  return others >= MAX_KEYS ? new StateFull({ bucket, key, limit: `${MAX_KEYS} keys in a bucket` }) : undefined
}
