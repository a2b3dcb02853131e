/**
 * What a task requires of whoever performs it. Two tasks of one type and one wanted agent stand in one lane of the queue
 * only where they require the same, so that the first that waits for a rare agent does not hold up the others.
 */
import { Schema } from "effect"
import { Text } from "../domain/Text.ts"

/** Of one task. */
export const MAX_CAPABILITIES = 20
/** Of one of them, in characters. */
export const LONGEST_CAPABILITY = 100

const short = Text.pipe(
  Schema.check(Schema.isMaxLength(LONGEST_CAPABILITY, { message: `expected at most ${LONGEST_CAPABILITY} characters` }))
)

export const Capabilities = Schema.Array(short).pipe(
  Schema.check(Schema.isMaxLength(MAX_CAPABILITIES, { message: `expected at most ${MAX_CAPABILITIES} capabilities` }))
)

interface Needing {
  readonly capabilities?: ReadonlyArray<string>
}

/** Each once, in one order; half a letter cannot be kept in every home. */
const sorted = (capabilities: ReadonlyArray<string> = []): ReadonlyArray<string> =>
  [...new Set(capabilities.map((each) => each.toWellFormed()))].sort()

/** The same requirements are the same text; none is empty. */
export const laneOf = ({ capabilities }: Needing): string => {
  const all = sorted(capabilities)
  return all.length === 0 ? "" : JSON.stringify(all)
}

/** As a spec says them. */
export const ofLane = (lane: string): Needing =>
  lane === "" ? {} : { capabilities: JSON.parse(lane) as ReadonlyArray<string> }

/** The same task, its requirements as every home keeps them. */
export const canonical = <A extends Needing>(spec: A): A => {
  const { capabilities, ...rest } = spec
  const all = sorted(capabilities)
  return { ...rest, ...(all.length === 0 ? {} : { capabilities: all }) } as A
}

/** What of it this agent cannot do. */
export const lacks = ({ capabilities = [] }: Needing, able: ReadonlyArray<string>): ReadonlyArray<string> =>
  capabilities.filter((each) => !able.includes(each))
