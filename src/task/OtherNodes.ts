/**
 * How the other nodes that share the ledger are, as far as this one can tell: it judges by what it hears of them, and another
 * may judge otherwise. Who is dead here has lost what it held; nothing else is decided by it than who waits for whom.
 */
import type { Effect, Scope, Stream } from "effect"
import type { PeerState, PeerView } from "../supervision/Peers.ts"

export interface OtherNodes {
  /** Undefined: nothing is known of it. A node that is asked for itself is alive. */
  standing(node: string): PeerState | undefined
  /**
   * Is it worth waiting for? Not once it is dead, also by not coming back after it has left. One of which nothing is known is
   * expected to speak from now on.
   */
  lives(node: string): boolean
  readonly all: () => ReadonlyArray<PeerView>
  /** Says that one has changed, at least once for any number of changes. Live once the Effect completes. */
  readonly changes: Effect.Effect<Stream.Stream<void>, never, Scope.Scope>
}
