/** A tree made by hand: a clock, and beside it a store with a reader that cannot live without it. */
import { Effect, Schema } from "effect"
import type { Fault } from "../../src/domain/Fault.ts"
import type { Child } from "../../src/supervision/Child.ts"
import * as Supervisor from "../../src/supervision/Supervisor.ts"

/** What can go wrong, as a Fault: how bad it is, and what cures it. */
class ConnectionLost
  extends Schema.TaggedError<ConnectionLost>("example/ConnectionLost")("ConnectionLost", { times: Schema.Number })
  implements Fault
{
  get severity() {
    return "medium" as const
  }
  get recovery() {
    return "restart" as const
  }
  get countsAgainstIntensity() {
    return true
  }
  override get message() {
    return `the connection is gone, for the ${this.times}. time`
  }
}

/** Runs until `seconds` have passed, and returns what was said on the way. */
export const program = (seconds: number) =>
  Effect.gen(function* () {
    const said: Array<string> = []
    const say = (line: string) => Effect.sync(() => said.push(line))

    // The outer Effect makes one life ready; the inner one is that life.
    const clock: Child = {
      id: "clock",
      start: Effect.succeed(Effect.forever(Effect.andThen(Effect.sleep("1 second"), say("tick"))))
    }

    let losses = 0
    const store: Child<ConnectionLost> = {
      id: "store",
      backoff: { initialDelay: "1 second", factor: 2, maxDelay: "10 seconds", jitter: "none" },
      start: Effect.gen(function* () {
        // Whatever a life acquires in its Scope is released before the next one begins.
        yield* Effect.acquireRelease(say("store opened"), () => say("store closed"))
        return Effect.delay(
          Effect.suspend(() => new ConnectionLost({ times: ++losses })),
          "2500 millis"
        )
      })
    }

    const reader: Child = {
      id: "reader",
      shutdown: "2 seconds",
      start: Effect.as(
        Effect.acquireRelease(say("reader started"), () => say("reader stopped")),
        Effect.never
      )
    }

    const data = Supervisor.child({
      id: "data",
      // When the store falls the reader falls with it; when the reader falls the store stays.
      strategy: "rest_for_one",
      maxRestarts: 1,
      within: "1 minute",
      children: [store, reader]
    })

    const supervisor = yield* Supervisor.start({
      id: "example",
      strategy: "one_for_one",
      maxRestarts: 3,
      within: "1 minute",
      children: [clock, data],
      report: (event) => (event._tag === "RestartScheduled" ? say(`${event.child}: ${event.why}`) : Effect.void)
    })
    yield* Effect.sleep(seconds * 1_000)
    yield* say(yield* supervisor.explain("data"))
    return [...said]
  })
