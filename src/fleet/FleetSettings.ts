/** What a person may set about a node among others, and what it is called there if they say nothing. */
import { Effect, Schema } from "effect"
import { NodeId } from "../domain/Ids.ts"
import { ByteSizeFromString } from "../domain/Quantity.ts"
import { duration, wholeNumber } from "../domain/Setting.ts"
import { SigningSettings } from "../message/SigningSettings.ts"
import { FailureSettings } from "../task/FailureSettings.ts"
import { AuctionSettings, PlacedBy, Sticky } from "../task/PlacementSettings.ts"
import { EdgeSettings } from "./EdgeSettings.ts"

/** Beats that may be missed before a node counts as gone: fewer, and a pause would be a death. */
export const MISSED = 2

export const FleetSettings = Schema.Struct({
  node: Schema.optionalKey(NodeId).annotateKey({
    description:
      "What this node is called among others; each needs a name of its own. Default: name and the host's name"
  }),
  heartbeat: duration("5 seconds", "How often this node tells that it is there, and how it is."),
  expire: duration(
    "20 seconds",
    "After how long without a heartbeat a node is not listed any more; the same for all nodes."
  ),
  replicas: wholeNumber(1, 5)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(1)))
    .annotateKey({
      description:
        "On how many servers of a cluster the list of nodes and the ledger are kept, when this node is the first. Default 1"
    }),
  ledger: Schema.Literals(["shared", "own"])
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("shared" as const)))
    .annotateKey({
      description:
        "shared: with servers, all nodes take from one ledger; own: this node keeps its tasks for itself, in dataDir, as without servers. Default shared"
    }),
  ledgerSize: Schema.optionalKey(ByteSizeFromString).annotateKey({
    description:
      "The most that the shared ledger may take on a server, the same for all nodes. Default: what the server gives"
  }),
  takeover: duration(
    "15 seconds",
    "After how long of silence what a node holds in the shared ledger is taken over by others; the same for all nodes."
  ),
  failure: FailureSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "How it is judged whether another node of the shared ledger is dead"
  }),
  edge: EdgeSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "What this node does while it is cut off from the shared ledger"
  }),
  placement: PlacedBy,
  sticky: Sticky,
  auction: AuctionSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "How this node bids, where placement is auction"
  }),
  signing: Schema.optionalKey(SigningSettings).annotateKey({
    description: "Who is believed, and how this node proves who it is. Default: nothing is signed, and all are believed"
  })
})
export type FleetSettings = typeof FleetSettings.Type

/** Does a node take its tasks from where others do? */
export const sharesLedger = (kind: "memory" | "nats", { ledger }: Pick<FleetSettings, "ledger">): boolean =>
  kind === "nats" && ledger === "shared"

/** What the name of a fleet's bucket ends with, by its prefix. No two prefixes have the same. */
export const tokenOf = (prefix = ""): string =>
  prefix === "" ? "" : `-${prefix.replaceAll("_", "_u").replaceAll(".", "_d")}`

/** The bucket in which the tasks of a fleet stand, by its prefix. */
export const ledgerBucketOf = (prefix?: string): string => `mister-smith-tasks${tokenOf(prefix)}`

/** A name for who has not been given one. */
export const nodeIdOf = (name: string, host: string): string =>
  `${name}-${host}`
    .replaceAll(/[^A-Za-z0-9_-]+/g, "-")
    .replace(/^[-_]+/, "")
    .slice(0, 63)
    .replace(/-+$/, "") || "node"
