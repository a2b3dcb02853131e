/**
 * What is logged, and where it goes: levels for each module, and files in the data directory.
 *
 * Promises: what is below the level of its module is not logged, by no logger; nothing waits for a file, and no fault of
 * one reaches the node: what cannot be written is counted and said once, as `logs.lost`; lines are written within
 * FLUSH_EVERY and at the end. Whoever builds the layer must hold the data directory.
 */
import { join } from "node:path"
import { Context, Duration, Effect, Latch, Layer, Logger, References, Stream } from "effect"
import type { Published } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"
import { AgentLog } from "./AgentLog.ts"
import { LogFiles } from "./LogFiles.ts"
import { eventLine, type Line, lineOf, runtimeLine, toJson, toLogfmt, weigh } from "./LogLine.ts"
import { agentLog, agentStream, DIR, RUNTIME } from "./LogNames.ts"
import { type LogSettings, lowest, passes } from "./LogSettings.ts"
import { streamLine } from "./StreamReader.ts"

/** How long a line may wait to be written together with others. A crash loses no more. */
export const FLUSH_EVERY = "250 millis"
/** So many characters do not wait. */
const FLUSH_AT = 256 * 1024
/** What is left at the end may take so long. A disk that hangs must not hold the node. */
const LAST_FLUSH = "2 seconds"

export interface LoggingInput extends LogSettings {
  /** Absolute, and held. */
  readonly dataDir: string
  /** Whose file what is said of a supervisor's child belongs to. */
  readonly agents: ReadonlyArray<string>
}

export const layer = (input: LoggingInput): Layer.Layer<never, never, EventBus> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const files = input.file ? yield* filesOf(input) : undefined
      const log = Logger.make<unknown, void>(({ cause, date, fiber, logLevel, message }) => {
        const annotations = fiber.getRef(References.CurrentLogAnnotations)
        files?.say(
          lineOf({ date, logLevel, annotations, message, cause }),
          logLevel === "Debug" || logLevel === "Trace"
        )
      })
      const loggers = new Set([...(yield* Logger.CurrentLoggers), ...(files === undefined ? [] : [log])])
      return Context.empty().pipe(
        Context.add(References.MinimumLogLevel, lowest(input)),
        Context.add(Logger.CurrentLoggers, new Set([...loggers].map((logger) => leveled(input, logger)))),
        Context.add(AgentLog, files?.agents ?? { stderr: () => {} })
      )
    })
  )

/** A logger that hears only what passes the level of its module. */
export const leveled = <Output>(
  settings: Pick<LogSettings, "level" | "modules">,
  logger: Logger.Logger<unknown, Output>
): Logger.Logger<unknown, Output | undefined> =>
  Logger.make((options) => {
    const { module } = options.fiber.getRef(References.CurrentLogAnnotations)
    return passes(settings, module, options.logLevel) ? logger.log(options) : undefined
  })

const filesOf = Effect.fnUntraced(function* (input: LoggingInput) {
  const bus = yield* EventBus
  const context = yield* Effect.context<never>()
  const files = new LogFiles(
    join(input.dataDir, DIR),
    { maxFile: input.maxFile, maxTotal: input.maxTotal, maxAgeMillis: Duration.toMillis(input.maxAge) },
    (reason) => Effect.runForkWith(context)(bus.publish({ type: "logs.lost", reason }))
  )
  const format = input.format === "json" ? toJson : toLogfmt
  const some = Latch.makeUnsafe(false)
  const much = Latch.makeUnsafe(false)
  const write = (name: string, line: string, debug?: boolean) => {
    files.write(name, line, debug)
    some.openUnsafe()
    if (files.buffered > FLUSH_AT) much.openUnsafe()
  }
  const say = (line: Line, debug?: boolean) => write(RUNTIME, format(line), debug)
  const agents = new Set(input.agents)
  let seen = 0
  const hear = (event: Published) => {
    seen = event.seq
    // Who comes by a reload is known from its first event on.
    if (event.type === "reload.step" && event.step === "add") agents.add(event.agent)
    const agent = agentOf(event, agents)
    if (agent !== undefined) write(agentLog(agent), toJson(eventLine(event)))
    const { level, module } = weigh(event)
    if (passes(input, module, level)) say(runtimeLine(event), level === "Debug")
  }
  const flush = Effect.promise(() => files.flush())
  yield* Effect.addFinalizer(() => Effect.timeoutOption(Effect.interruptible(flush), LAST_FLUSH))
  const events = yield* bus.subscribe
  const first = yield* bus.last
  yield* Effect.forkScoped(Stream.runForEachArray(events, (chunk) => Effect.sync(() => chunk.forEach(hear))))
  // What was reported up to now is heard before, and written after, by the finalizer that was added first.
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(bus.last, (last) =>
      Effect.whileLoop({
        while: () => last > first && seen < last,
        body: () => Effect.yieldNow,
        step: () => {}
      }).pipe(Effect.interruptible, Effect.timeoutOption(LAST_FLUSH))
    )
  )
  yield* Effect.forkScoped(
    Effect.forever(
      some.await.pipe(
        Effect.andThen(Effect.sync(() => some.closeUnsafe())),
        Effect.andThen(Effect.raceFirst(Effect.sleep(FLUSH_EVERY), much.await)),
        Effect.andThen(Effect.sync(() => much.closeUnsafe())),
        Effect.andThen(flush)
      )
    )
  )
  return {
    say,
    agents: {
      stderr: (agent, session, text) =>
        write(agentLog(agent), toJson({ time: new Date().toISOString(), type: "cli.stderr", agent, session, text })),
      // Of what waits to be written the stream may be half: it must not push out what the runtime says.
      stream: input.stream ? (agent, line) => write(agentStream(agent), streamLine(new Date(), line), true) : undefined
    } satisfies AgentLog
  }
})

const agentOf = (event: Published, agents: ReadonlySet<string>): string | undefined => {
  const { agent, child } = event as { readonly agent?: string; readonly child?: string }
  // What is said of a child may be said of a supervisor within.
  return agent ?? (child !== undefined && agents.has(child) ? child : undefined)
}
