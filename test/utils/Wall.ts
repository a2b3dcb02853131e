/** A clock on a wall that is `off` from the time that passes, as a machine's is that somebody sets. */
import { Clock, Effect } from "effect"

export const onWall = Effect.map(Clock.Clock, (passing) => {
  const wall = { off: 0 }
  const clock: Clock.Clock = Object.create(passing, {
    currentTimeMillisUnsafe: { value: () => passing.currentTimeMillisUnsafe() + wall.off },
    currentTimeMillis: { get: () => Effect.map(passing.currentTimeMillis, (now) => now + wall.off) }
  })
  return { clock, wall }
})
