/** `run`: start the tree, perform the tasks of the config, and go on serving until a signal, the tree's end, or `--once`. */
import { Effect, Fiber, Layer, Logger, Stream } from "effect"
import { TerminalCapabilities } from "effect/cli"
import { History } from "../admin/History.ts"
import type { Config } from "../config/Config.ts"
import * as Load from "../config/Load.ts"
import { redact, redactIn } from "../domain/Redaction.ts"
import { isFinal } from "../domain/Task.ts"
import { EventBus } from "../event/EventBus.ts"
import { MisterSmith } from "../MisterSmith.ts"
import { leveled } from "../observability/Logging.ts"
import { TasksFailed } from "./CliFault.ts"
import * as ConfigTasks from "./ConfigTasks.ts"
import { liveOutput } from "./LiveOutput.ts"
import { jsonOutput, type Output } from "./Output.ts"
import { plainOutput } from "./PlainOutput.ts"
import * as Reloading from "./Reloading.ts"
import { paint } from "./Words.ts"

export interface RunInput {
  readonly config: string
  readonly once: boolean
  readonly json: boolean
}

/** How long a reader of the output may take for what is left when the run is over. */
const FLUSH = "2 seconds"

/** How long the tree may take to give up once a task has failed with what no restart can cure. */
const VERDICT = "30 seconds"

export const run = Effect.fn("cli.run")(function* (input: RunInput) {
  const config = yield* Load.load(input.config, process.env)
  const hangups = yield* Reloading.hangups
  const output = discreet(yield* choose(input))
  yield* Effect.acquireUseRelease(
    show(output),
    () => Effect.provide(Effect.scoped(serve(config, input, output, hangups)), MisterSmith.layerWithEvents(config)),
    (shown) =>
      Effect.gen(function* () {
        // The printer ends with this event, having printed all before it.
        yield* (yield* EventBus).publish({ type: "runtime.stopped" })
        yield* Effect.timeoutOption(Effect.interruptible(Fiber.await(shown)), FLUSH)
        yield* Effect.timeoutOption(Effect.interruptible(output.close), FLUSH)
      })
  ).pipe(
    Effect.scoped,
    // Begins before the node does, so that whoever asks hears of its start too.
    Effect.provide(History.layer.pipe(Layer.provideMerge(EventBus.layer))),
    Effect.provide(
      Logger.layer([leveled(config.logs, Logger.map(input.json ? Logger.formatJson : Logger.formatSimple, output.log))])
    )
  )
}, Effect.scoped)

const choose = Effect.fnUntraced(function* ({ json }: RunInput) {
  if (json) return jsonOutput(process.stdout, process.stderr)
  const { canAnimate, canColor } = yield* TerminalCapabilities.TerminalCapabilities
  return canAnimate
    ? liveOutput(process.stdout, paint(canColor))
    : plainOutput(process.stdout, process.stderr, paint(canColor))
})

/** Tells nothing that is secret. Events have passed Redaction when they were published. */
const discreet = (output: Output): Output => ({
  ...output,
  result: (result) => output.result({ ...redactIn(result, NAMES), usage: result.usage }),
  log: (line) => output.log(redact(line))
})

/** What names something is as it is. */
const NAMES = new Set(["task", "agent", "status", "session", "kind", "denied"])

/** Prints events from now on, until `runtime.stopped`. */
const show = Effect.fnUntraced(function* (output: Output) {
  const events = yield* (yield* EventBus).subscribe
  return yield* events.pipe(
    Stream.takeUntil(({ type }) => type === "runtime.stopped"),
    Stream.runForEach(output.event),
    Effect.forkScoped
  )
})

/** Submits the config's tasks and prints each result as it comes. */
const serve = Effect.fnUntraced(function* (
  config: Config,
  input: RunInput,
  output: Output,
  hangups: Reloading.Hangups
) {
  const smith = yield* MisterSmith
  const submitted = yield* ConfigTasks.submit(smith, config.tasks)
  const reload = yield* Reloading.make(input.config)
  yield* Effect.forkScoped(Reloading.onHangup(hangups, reload))
  // Loaded while the CLIs start, which takes longer.
  yield* Effect.promise(() => import("./operate.ts")).pipe(
    Effect.flatMap(({ operate }) => operate(config, reload)),
    Effect.forkScoped
  )
  const results = Effect.forEach(
    submitted,
    ({ id, state }) => {
      const result = Effect.map(smith.result(id), (result) => (isFinal(state) ? { ...result, earlier: true } : result))
      return Effect.tap(result, output.result)
    },
    { concurrency: "unbounded" }
  )
  if (!input.once) return yield* Effect.raceFirst(Effect.andThen(results, smith.ended), smith.drained)
  const all = yield* Effect.raceFirst(results, Effect.as(smith.drained, undefined))
  // What was not begun is left to the next run.
  if (all === undefined) return
  const failed = all.filter(({ status }) => status !== "succeeded")
  // What no restart can cure ends the tree too, and the tree says it better.
  if (failed.some(({ fault }) => fault?.recovery === "escalate")) yield* Effect.timeoutOption(smith.ended, VERDICT)
  if (failed.length > 0) return yield* new TasksFailed({ failed: failed.length })
})
