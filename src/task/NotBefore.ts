/** When a task may begin at the earliest, as people write it: a time with its zone, or so long from when it was submitted. */
import { Duration, Option, Schema } from "effect"
import { DurationFromString } from "../domain/Quantity.ts"
import type { TaskSpec } from "./TaskSpec.ts"

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/
/** For editors: a number and a word, or a time. */
const PATTERN = `^\\s*\\d+(\\.\\d+)?\\s*[A-Za-z]+\\s*$|${TIME.source}`
/** The last millisecond that a date can name. */
const LAST = 8.64e15

const duration = Schema.decodeUnknownOption(DurationFromString)

/** Milliseconds since the epoch; none where it is neither. */
const read = (text: string, submittedAt: number): number | undefined => {
  if (TIME.test(text)) {
    const at = Date.parse(text)
    return Number.isNaN(at) ? undefined : at
  }
  const after = Option.getOrUndefined(duration(text))
  return after === undefined ? undefined : Math.min(LAST, submittedAt + Math.ceil(Duration.toMillis(after)))
}

export const NotBefore = Schema.String.pipe(
  Schema.check(
    Schema.makeFilter((text: string) => read(text, 0) !== undefined, {
      message: 'expected a time with its zone such as "2030-01-31T08:00:00Z", or a duration such as "2 hours"',
      toJsonSchema: () => ({ pattern: PATTERN })
    })
  )
)

/** Until when it waits, where that is not over. */
export const waitsUntil = ({ notBefore }: TaskSpec, submittedAt: number, now: number): number | undefined => {
  const at = notBefore === undefined ? undefined : read(notBefore, submittedAt)
  return at !== undefined && at > now ? at : undefined
}
