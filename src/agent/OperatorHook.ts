/**
 * Tells an operator that a supervisor's restarts are used up: an event, and the command of the config's step with the
 * event as JSON on its stdin. Whatever becomes of the command changes nothing, but is logged.
 */
import { Effect, Stream } from "effect"
import { brief, type Event } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"
import { ProcessTree } from "../process/ProcessTree.ts"
import type { SupervisorGaveUp } from "../supervision/SupervisionError.ts"
import { AgentHost } from "./AgentHost.ts"

/** A command that takes longer is ended with all it has started. */
const LIMIT = "30 seconds"

export const make = Effect.gen(function* () {
  const bus = yield* EventBus
  const tree = yield* ProcessTree
  const { environment, settings } = yield* AgentHost

  const run = Effect.fn("OperatorHook.run")(function* (
    command: readonly [string, ...ReadonlyArray<string>],
    event: Event
  ) {
    const [program, ...args] = command
    const env = Object.fromEntries(
      Object.entries(environment).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
    )
    const process = yield* tree.spawn({ command: program, args, cwd: settings.baseDir, env })
    // Read, so that it cannot block on a full pipe.
    yield* Effect.forkScoped(Stream.runDrain(Stream.merge(process.stdout, process.stderr)))
    yield* process.write(`${JSON.stringify(event)}\n`)
    yield* process.closeInput
    const { code, signal } = yield* process.exit
    if (code === 0) return
    yield* Effect.logWarning(`the operator's command ${program} ended with ${signal ?? code}`)
  }, Effect.scoped)

  return (error: SupervisorGaveUp, command: ReadonlyArray<string> | undefined): Effect.Effect<void> => {
    const event: Event = {
      type: "operator.notified",
      supervisor: error.supervisor,
      child: error.child,
      message: error.message,
      hint: error.hint
    }
    const [program, ...args] = command ?? []
    if (program === undefined) return bus.publish(event)
    const hook = run([program, ...args], event).pipe(
      Effect.timeoutOrElse({
        duration: LIMIT,
        orElse: () => Effect.logWarning(`the operator's command ${program} took longer than ${LIMIT} and was ended`)
      }),
      Effect.catch((fault) => Effect.logWarning(`the operator's command could not be run: ${brief(fault.message)}`))
    )
    return Effect.andThen(bus.publish(event), hook)
  }
})
