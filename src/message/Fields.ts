/** The small parts that messages are made of. Every text of a peer has a bound. */
import { Schema } from "effect"

/** Text of at most so many characters. */
export const bounded = (most: number) =>
  Schema.String.pipe(Schema.check(Schema.isMaxLength(most, { message: `expected at most ${most} characters` })))

/** Milliseconds since the epoch, by the clock of whoever says so. */
export const Time = Schema.Int.pipe(
  Schema.check(
    Schema.isBetween({ minimum: 0, maximum: 8_640_000_000_000_000 }, { message: "expected a time in milliseconds" })
  )
)

export const Count = Schema.Int.pipe(
  Schema.check(
    Schema.isBetween(
      { minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
      { message: "expected a whole number, 0 or more" }
    )
  )
)

/** One word of ours or of another: a name without spaces and control characters. */
export const Name = Schema.String.pipe(
  Schema.check(
    Schema.isPattern(/^[!-~]{1,200}$/, {
      message: "expected a name of at most 200 printable characters without spaces"
    })
  )
)

/** What a person or a program says about why. */
export const Reason = bounded(1000)
