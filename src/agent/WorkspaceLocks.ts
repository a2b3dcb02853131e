/** One at a time: a lock for the places of each task, and one for each repository. A lock is there while somebody wants it. */
import { Effect, Option, type Scope, Semaphore } from "effect"

export interface WorkspaceLocks {
  /** Somebody holds the places of this task, or waits for them. */
  held(task: string): boolean
  /** Waits for them, and holds them until the Scope closes. */
  hold(task: string): Effect.Effect<void, never, Scope.Scope>
  /** Only where nobody does; None where somebody does. */
  ifFree<A, E>(task: string, use: Effect.Effect<A, E>): Effect.Effect<Option.Option<A>, E>
  alone<A, E>(repository: string, use: Effect.Effect<A, E>): Effect.Effect<A, E>
}

/** `left`: told whenever a task's places are let go. */
export const make = (left: Effect.Effect<unknown>): WorkspaceLocks => {
  const locks = new Map<string, { readonly semaphore: Semaphore.Semaphore; count: number }>()
  const lockOf = (key: string) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        const lock = locks.get(key)
        if (lock !== undefined)
          return Effect.as(
            Effect.sync(() => lock.count++),
            lock
          )
        return Effect.map(Semaphore.make(1), (semaphore) => {
          const made = { semaphore, count: 1 }
          locks.set(key, made)
          return made
        })
      }),
      (lock) => Effect.sync(() => --lock.count === 0 && locks.delete(key))
    )
  const held = (task: string) => locks.has(`task ${task}`)
  const hold = Effect.fnUntraced(function* (task: string) {
    // Added first, so it runs last: who hears of it finds it free.
    yield* Effect.addFinalizer(() => left)
    const { semaphore } = yield* lockOf(`task ${task}`)
    yield* Effect.acquireRelease(semaphore.take(1), () => semaphore.release(1), { interruptible: true })
  })
  const ifFree = <A, E>(task: string, use: Effect.Effect<A, E>) =>
    Effect.suspend(() =>
      held(task)
        ? Effect.succeed(Option.none<A>())
        : Effect.scoped(
            Effect.flatMap(lockOf(`task ${task}`), ({ semaphore }) => semaphore.withPermitsIfAvailable(1)(use))
          )
    )
  const alone = <A, E>(repository: string, use: Effect.Effect<A, E>) =>
    Effect.scoped(Effect.flatMap(lockOf(`repository ${repository}`), ({ semaphore }) => semaphore.withPermit(use)))

  return { held, hold, ifFree, alone }
}
