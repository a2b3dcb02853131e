/**
 * What a `reload` and a SIGHUP have the node do: read the file again that it was started with, and follow it. A file with
 * mistakes, or none, changes nothing.
 */
import { closeSync, openSync } from "node:fs"
import { resolve } from "node:path"
import { Effect, Queue, type Scope } from "effect"
import { ConfigRefused } from "../admin/AdminError.ts"
import type { PlanView } from "../admin/ReloadView.ts"
import * as Load from "../config/Load.ts"
import type { Fault } from "../domain/Fault.ts"
import { brief } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"
import { MisterSmith } from "../MisterSmith.ts"
import * as ConfigTasks from "./ConfigTasks.ts"

export type Reload = (options: { readonly plan: boolean; readonly now: boolean }) => Effect.Effect<PlanView, Fault>

export const make = Effect.fn("cli.reloading")(function* (config: string) {
  const smith = yield* MisterSmith
  const bus = yield* EventBus
  // Where the process is may change, which file it was started with not.
  const file = resolve(config)
  const read = Load.load(file, process.env).pipe(
    Effect.catchTags({
      ConfigInvalid: (invalid) =>
        Effect.fail(new ConfigRefused({ file, mistakes: invalid.mistakes, problem: invalid.message })),
      ConfigUnreadable: (unreadable) =>
        Effect.fail(new ConfigRefused({ file, mistakes: [], problem: unreadable.message }))
    })
  )
  const reload: Reload = Effect.fn("cli.reload")(function* ({ now, plan }) {
    if (plan) return yield* smith.plan(yield* read)
    const next = yield* Effect.tapError(read, ({ mistakes, problem }) =>
      bus.publish({ type: "reload.refused", file, mistakes: mistakes.length, why: brief(problem) })
    )
    return yield* smith.reload(next, { now, submit: (tasks) => ConfigTasks.submit(smith, next.tasks, new Set(tasks)) })
  })
  return reload
})

/** What SIGHUP says: read again. Any number that come while one is carried out are one more. */
export type Hangups = Queue.Dequeue<void>

/**
 * While its Scope lives the signal ends nothing. Heard from the first instant on: one that comes too early waits. But where
 * the terminal has gone that the node was started on, it is stopped in order: nobody wants it any more.
 */
export const hangups: Effect.Effect<Hangups, never, Scope.Scope> = Effect.gen(function* () {
  const heard = yield* Queue.sliding<void>(1)
  const onTerminal = process.stdin.isTTY === true
  const hear = () => {
    // To whoever hears the signals of this process: start.ts.
    if (onTerminal && !hasTerminal()) process.emit("SIGTERM", "SIGTERM")
    else Queue.offerUnsafe(heard, undefined)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("SIGHUP", hear)),
    () => Effect.sync(() => process.off("SIGHUP", hear))
  )
  return heard
})

/** One that has been hung up can be opened no more. */
const hasTerminal = (): boolean => {
  try {
    closeSync(openSync("/dev/tty", "r"))
    return true
  } catch {
    return false
  }
}

/** A hangup is a reload, as service managers know it. What becomes of it is told by its events, and in the log. */
export const onHangup = (heard: Hangups, reload: Reload): Effect.Effect<never> =>
  Queue.take(heard).pipe(
    Effect.andThen(reload({ plan: false, now: false })),
    Effect.catch(({ hint, message }: Fault) =>
      Effect.logWarning(hint === undefined ? message : `${message}\nhint: ${hint}`)
    ),
    Effect.forever
  )
