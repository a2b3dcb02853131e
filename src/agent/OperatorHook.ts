/**
 * Tells an operator what a person should know: an event, and the command of the config with the event as JSON on its
 * stdin. Nobody waits for the command, and whatever becomes of it changes nothing but is logged. It is guarded like
 * every call to the outside: one at a time with a bounded queue, tried again within a budget, left alone for a while when
 * it keeps failing, and not called twice for the same thing in a short time.
 */
import { Clock, Effect, Fiber, Schema, type Scope, Stream } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"
import { brief, type Event } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"
import { inModule } from "../observability/Log.ts"
import { ProcessTree } from "../process/ProcessTree.ts"
import * as CircuitBreaker from "../resource/CircuitBreaker.ts"
import * as Limits from "../resource/Limits.ts"
import * as Retry from "../resource/Retry.ts"
import { AgentHost } from "./AgentHost.ts"

/** A command that takes longer is ended with all it has started. */
const LIMIT = "30 seconds"
/** Messages that may wait for the command; more are only events. */
const QUEUE = 16
/** The same message is not given to the command again within this time. */
const QUIET_MILLIS = 60_000
/** Messages remembered for that. */
const REMEMBERED = 100

export interface Notice {
  readonly supervisor: string
  readonly child: string
  readonly message: string
  readonly hint?: string | undefined
}

/** Completes at once, with the event published. */
export type Notify = (notice: Notice, command: ReadonlyArray<string> | undefined) => Effect.Effect<void>

/** The operator's command did not do its work. */
export class HookFailed extends Schema.TaggedError<HookFailed, Fault>("mister-smith/HookFailed")("HookFailed", {
  command: Schema.String,
  reason: Schema.String
}) {
  static {
    follow(this, { severity: "medium", recovery: "retry", hint: "run it by hand with a line of JSON on its stdin" })
  }
  override get message() {
    return `the operator's command ${this.command} ${this.reason}`
  }
}

/** Closing the Scope waits for the commands under way, as long as one may take, and then ends them. */
export const make: Effect.Effect<Notify, never, EventBus | ProcessTree | AgentHost | Scope.Scope> = Effect.gen(
  function* () {
    const bus = yield* EventBus
    const tree = yield* ProcessTree
    const { environment, settings } = yield* AgentHost
    // Not owned by the Scope: what an operator is to know when all ends must still get out.
    const underWay = new Set<Fiber.Fiber<void>>()
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        Effect.timeoutOption(Effect.interruptible(Effect.suspend(() => Fiber.awaitAll([...underWay]))), LIMIT),
        Effect.suspend(() => Fiber.interruptAll(underWay))
      )
    )
    const one = yield* Limits.bulkhead({ name: "the operator's command", permits: 1, queue: QUEUE })
    const breaker = yield* CircuitBreaker.make({
      name: "the operator's command",
      window: 8,
      minimumCalls: 4,
      failureRate: 0.75,
      openFor: "1 minute"
    })
    const budget = yield* Retry.budget({ reserve: 4 })
    const told = new Map<string, number>()

    const env = Object.fromEntries(
      Object.entries(environment).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
    )
    const run = Effect.fn("OperatorHook.run")(function* (program: string, args: ReadonlyArray<string>, event: Event) {
      const process = yield* tree.spawn({ command: program, args, cwd: settings.baseDir, env })
      // Read, so that it cannot block on a full pipe.
      yield* Effect.forkScoped(Stream.runDrain(Stream.merge(process.stdout, process.stderr)))
      yield* process.write(`${JSON.stringify(event)}\n`)
      yield* process.closeInput
      const { code, signal } = yield* process.exit
      if (code !== 0) return yield* new HookFailed({ command: program, reason: `ended with ${signal ?? code}` })
    }, Effect.scoped)

    const call = (program: string, args: ReadonlyArray<string>, event: Event) =>
      run(program, args, event).pipe(
        Effect.timeoutOrElse({
          duration: LIMIT,
          orElse: () =>
            Effect.fail(new HookFailed({ command: program, reason: `took longer than ${LIMIT} and was ended` }))
        }),
        breaker.run,
        (guarded) => Retry.retry(guarded, { times: 2, initialDelay: "1 second", budget }),
        one.run,
        Effect.catch((fault) =>
          inModule("agent")(Effect.logWarning(brief(fault.message), ...(fault.hint === undefined ? [] : [fault.hint])))
        )
      )

    return Effect.fnUntraced(function* (notice: Notice, command: ReadonlyArray<string> | undefined) {
      const { child, hint, message, supervisor } = notice
      const event: Event = { type: "operator.notified", supervisor, child, message, hint }
      yield* bus.publish(event)
      const [program, ...args] = command ?? []
      if (program === undefined) return
      const now = yield* Clock.currentTimeMillis
      const before = told.get(message)
      if (before !== undefined && now - before < QUIET_MILLIS) return
      told.delete(message)
      told.set(message, now)
      const oldest = told.keys().next()
      if (told.size > REMEMBERED && oldest.done !== true) told.delete(oldest.value)
      const fiber = yield* Effect.forkDetach(call(program, args, event))
      underWay.add(fiber)
      fiber.addObserver(() => underWay.delete(fiber))
    })
  }
)
