/** What a transport tells of itself: each change, and where it stands. */
import type { LinkRefused, PayloadTooLarge, PermissionDenied, ServerLost, SlowConsumer } from "./TransportError.ts"

/**
 * Two links to the server, so that what is much never stands in the way of what is urgent. In memory they are one.
 * - `control`: commands, requests, heartbeats, status
 * - `bulk`: tasks, results, streams
 */
export type Lane = "control" | "bulk"
export const LANES: ReadonlyArray<Lane> = ["control", "bulk"]

export type TransportStatus =
  | { readonly type: "connecting"; readonly lane: Lane }
  | { readonly type: "up"; readonly lane: Lane; readonly server: string; readonly version: string }
  /** It ended. Up to `unconfirmed` messages of ours may not have arrived. */
  | { readonly type: "down"; readonly lane: Lane; readonly fault: ServerLost; readonly unconfirmed: number }
  /** It cannot be built as things are. Told once until it is up, or refused for something else. */
  | { readonly type: "refused"; readonly lane: Lane; readonly fault: LinkRefused }
  /** Something was not allowed, be it long after it was published. */
  | { readonly type: "denied"; readonly lane: Lane; readonly fault: PermissionDenied }
  /** A subscription has begun to drop. */
  | { readonly type: "slow"; readonly lane: Lane; readonly fault: SlowConsumer }
  /** It keeps up again, after this many were dropped. */
  | { readonly type: "caught_up"; readonly lane: Lane; readonly subject: string; readonly dropped: number }
  /** A message that had waited for the link is larger than the server behind it takes. */
  | { readonly type: "dropped"; readonly lane: Lane; readonly fault: PayloadTooLarge }
  /** The server will go away soon, and another one is looked for. */
  | { readonly type: "leaving"; readonly lane: Lane; readonly server: string }
  | { readonly type: "closed"; readonly lane: Lane }
  /** Whoever reads this stream was slower than `STATUS_KEPT` changes. */
  | { readonly type: "gap"; readonly missed: number }

/** Changes that are kept for one who reads them slowly. */
export const STATUS_KEPT = 1024

export interface LinkSnapshot {
  readonly state: "connecting" | "up" | "down" | "closed"
  readonly server: string | undefined
  readonly version: string | undefined
  /** The largest message that is taken, headers included; not known before the first connection. */
  readonly maxPayload: number | undefined
  /** Times that it was up again after it had been. */
  readonly reconnects: number
  readonly published: number
  readonly received: number
  /** Messages that subscriptions were too slow for. */
  readonly dropped: number
  readonly denied: number
  /** Bytes that wait for the link. */
  readonly pendingBytes: number
  /** The last one, until the link is up. */
  readonly refused: LinkRefused | undefined
  /** Why there is no link, as far as that is known. */
  readonly why: string | undefined
}
