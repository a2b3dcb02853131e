/**
 * What a child prints, as a Stream: each chunk as soon as it is there, and no more of it is held than the pipe and one
 * buffer do. Ends when every holder of the pipe has closed it, or when it is broken or destroyed: what that means is judged
 * by the exit. To be run once; who stops early closes the pipe.
 */
import type { Readable } from "node:stream"
import { Cause, Channel, Effect, Scope, Stream } from "effect"

const EVENTS = ["readable", "end", "close", "error"] as const

export const bytes = (readable: Readable): Stream.Stream<Uint8Array> => {
  // One that fails while nobody waits for it would end this process.
  readable.on("error", () => {})
  const wait = Effect.callback<void>((resume) => {
    const leave = () => {
      for (const event of EVENTS) readable.off(event, wake)
    }
    const wake = () => {
      leave()
      resume(Effect.void)
    }
    for (const event of EVENTS) readable.on(event, wake)
    return Effect.sync(leave)
  })
  const pull: Effect.Effect<readonly [Uint8Array], Cause.Done> = Effect.suspend(() => {
    const chunk: Uint8Array | null = readable.read()
    if (chunk !== null) return Effect.succeed([chunk])
    if (readable.readableEnded || readable.destroyed) return Effect.fail(Cause.Done())
    return Effect.flatMap(wait, () => pull)
  })
  const close = Effect.sync(() => void readable.destroy())
  return Stream.fromChannel(Channel.fromTransform((_, scope) => Effect.as(Scope.addFinalizer(scope, close), pull)))
}
