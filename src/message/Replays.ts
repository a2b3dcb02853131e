/**
 * Remembers what has been signed and seen, so that nothing counts twice. Bounded for each key: what is older than the time
 * window is forgotten, because its signature does not count any more; where more than fits comes within the window, the
 * oldest are forgotten, and from then on nothing of that key counts that is as old as they were. So a flood shortens the
 * window of the one who makes it, and never lets a message count twice.
 *
 * It begins empty: what was signed within the window before this node started may count once more.
 */

/** Messages that are remembered of one key, unless it is set otherwise. */
export const CAPACITY = 65_536

export type Seen = "new" | "replayed" | "stale"

interface Key {
  /** In the order of arrival. */
  readonly nonces: Map<string, number>
  /** Nothing that was signed at this time or before counts. */
  floor: number
}

export interface Replays {
  /** Whether this one is new; if so it is remembered. */
  see(message: { readonly key: string; readonly nonce: string; readonly at: number }, now: number): Seen
  readonly size: () => number
}

export const make = (options: { readonly windowMillis: number; readonly capacity?: number }): Replays => {
  const { capacity = CAPACITY, windowMillis } = options
  const keys = new Map<string, Key>()
  return {
    see: ({ at, key, nonce }, now) => {
      const known = keys.get(key) ?? { nonces: new Map<string, number>(), floor: Number.NEGATIVE_INFINITY }
      keys.set(key, known)
      if (known.nonces.has(nonce)) return "replayed"
      if (at <= known.floor) return "stale"
      known.nonces.set(nonce, at)
      for (const [oldest, signedAt] of known.nonces) {
        const past = signedAt < now - windowMillis
        if (!past && known.nonces.size <= capacity) break
        known.nonces.delete(oldest)
        if (!past) known.floor = Math.max(known.floor, signedAt)
      }
      return "new"
    },
    size: () => [...keys.values()].reduce((sum, { nonces }) => sum + nonces.size, 0)
  }
}
