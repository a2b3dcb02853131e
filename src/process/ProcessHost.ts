/**
 * What one life of the runtime has of the machine for its process trees: the data directory it holds, the cgroup it
 * manages, the guardian that outlives it, and a clean ground, because what earlier lives have left is ended first.
 */
import { Context, Effect, Layer, Result } from "effect"
import { SecureRandom } from "effect/crypto/SecureRandom"
import { crashPoint } from "../state/CrashPoint.ts"
import * as DataDir from "../state/DataDir.ts"
import type { DataDirInUse, DataDirUnusable } from "../state/StateError.ts"
import { type Found, findCgroup } from "./CgroupPlace.ts"
import { openSubtree, type Subtree } from "./CgroupTree.ts"
import * as Guardian from "./Guardian.ts"
import * as PidNamespace from "./PidNamespace.ts"
import { RungUnavailable, type TreeSurvived } from "./ProcessError.ts"
import { defaults, type ProcessSettings } from "./ProcessSettings.ts"
import * as RunRecords from "./RunRecords.ts"
import * as Sweep from "./Sweep.ts"

const shortId = Effect.gen(function* () {
  const random = yield* SecureRandom
  return (yield* random.uuidV4()).replaceAll("-", "").slice(0, 12)
})

/** Why a host could not be had. */
export type HostError = DataDirInUse | DataDirUnusable | RungUnavailable | TreeSurvived

export class ProcessHost extends Context.Service<
  ProcessHost,
  {
    readonly settings: ProcessSettings
    /** What every marker of this life begins with. */
    readonly prefix: string
    readonly subtree: Subtree | undefined
    /** Why there is no cgroup for the runs. */
    readonly noCgroup: string
    readonly namespace: PidNamespace.PidNamespace | undefined
    readonly guardian: Guardian.Guardian | undefined
    readonly records: RunRecords.RunRecords | undefined
    /** What an earlier life had left and was ended now. */
    readonly swept: Sweep.Swept
  }
>()("mister-smith/process/ProcessHost") {
  /** Holds the data directory as long as its Scope lives; fails with `HostError`. */
  static readonly layer = (dataDir: string, settings: ProcessSettings) => Layer.effect(this, make(dataDir, settings))

  /** No data directory, no guardian and no cgroup: for one program that ends its trees itself. */
  static readonly layerBare = Layer.effect(
    this,
    Effect.map(shortId, (life) =>
      ProcessHost.of({
        settings: defaults,
        prefix: `bare.${life}.`,
        subtree: undefined,
        noCgroup: "cgroups are not used here",
        namespace: undefined,
        guardian: undefined,
        records: undefined,
        swept: []
      })
    )
  )
}

const make = Effect.fn("ProcessHost.make")(function* (dataDir: string, settings: ProcessSettings) {
  const owner = (yield* DataDir.hold(dataDir, yield* shortId)).id
  const life = yield* shortId
  const records = RunRecords.make(dataDir)

  const machine = findCgroup()
  const place = settings.cgroup === "off" ? OFF : machine
  const found = "why" in place ? undefined : place
  if ("why" in place && settings.cgroup === "required") {
    return yield* new RungUnavailable({ rung: "cgroup", why: place.why, advice: place.hint })
  }
  const namespace = settings.pidNamespace === "off" ? undefined : PidNamespace.find()
  if (namespace !== undefined && "why" in namespace && settings.pidNamespace === "required") {
    return yield* new RungUnavailable({ rung: "pidNamespace", why: namespace.why, advice: namespace.hint })
  }

  crashPoint("sweep.before")
  const swept = yield* Sweep.sweep({
    owner,
    records,
    // Whatever is set now: an earlier life may have had one.
    found: "why" in machine ? undefined : machine,
    limit: settings.stop.kill
  })
  crashPoint("sweep.after")
  const opened = yield* subtree(found, `${Sweep.cgroupPrefix(owner)}${life}`)
  if (typeof opened === "string" && settings.cgroup === "required") {
    return yield* new RungUnavailable({ rung: "cgroup", why: opened, advice: "see `mister-smith doctor`" })
  }
  const prefix = `${owner}.${life}.`
  const guardian = yield* Effect.acquireRelease(
    Effect.sync(() => {
      crashPoint("guardian.before")
      const guardian = Guardian.start({
        directory: dataDir,
        prefix,
        cgroup: typeof opened === "object" ? opened.path : undefined
      })
      crashPoint("guardian.after")
      return guardian
    }),
    (guardian) => Effect.sync(() => guardian?.close())
  )
  return ProcessHost.of({
    settings,
    prefix,
    subtree: typeof opened === "object" ? opened : undefined,
    noCgroup: typeof opened === "string" ? opened : "why" in place ? place.why : "",
    namespace: namespace !== undefined && "wrap" in namespace ? namespace : undefined,
    guardian,
    records,
    swept
  })
})

const OFF = { why: "process.cgroup is off", hint: "set process.cgroup to auto" }

/** Why not, where there is none. */
const subtree = (found: Found | undefined, name: string) =>
  Effect.acquireRelease(
    Effect.sync((): Subtree | string | undefined => {
      if (found === undefined) return undefined
      const opened = openSubtree(found, name)
      return Result.isSuccess(opened) ? opened.success : opened.failure.message
    }),
    (opened) => Effect.sync(() => (typeof opened === "object" ? opened.close() : undefined))
  )
