/** What a person may set about processes, and what it is if they do not. */
import { Duration, Effect, Schema } from "effect"
import { DurationFromString } from "../domain/Quantity.ts"
import { duration } from "../domain/Setting.ts"

const time = (otherwise: string) => DurationFromString.pipe(Schema.withDecodingDefaultKey(Effect.succeed(otherwise)))

export const StopSettings = Schema.Struct({
  interrupt: time("2 seconds").annotateKey({
    description: 'How long a process that is to end may take after SIGINT. Default "2 seconds"'
  }),
  terminate: time("1 second").annotateKey({
    description: 'And after SIGTERM, before it is killed. Default "1 second"'
  }),
  kill: duration("5 seconds", "What outlives SIGKILL for this long is reported as a survivor.")
})
export type StopSettings = typeof StopSettings.Type

export const ProcessSettings = Schema.Struct({
  stop: StopSettings.pipe(Schema.withDecodingDefaultKey(Effect.succeed({}))).annotateKey({
    description: "How long each rung of an end may take"
  }),
  cgroup: Schema.Literals(["auto", "off", "required"])
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("auto" as const)))
    .annotateKey({
      description:
        "A cgroup v2 group for each run: auto where the machine allows it, off never, required or the node does not start. Default auto"
    }),
  pidNamespace: Schema.Literals(["off", "best_effort", "required"])
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("off" as const)))
    .annotateKey({
      description:
        "A PID namespace for each run, whose end takes everything along: off, best_effort where the machine allows it, required or the node does not start. Default off"
    }),
  measureEvery: duration(
    "2 seconds",
    "How often the use of all process trees is measured, and limits without a controller are looked at."
  )
})
export type ProcessSettings = typeof ProcessSettings.Type

export const defaults: ProcessSettings = Schema.decodeSync(ProcessSettings)({})

/** How long a stop may take in all. */
export const longestStop = ({ interrupt, kill, terminate }: StopSettings): Duration.Duration =>
  Duration.sum(interrupt, Duration.sum(terminate, kill))
