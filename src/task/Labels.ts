/**
 * What a task says of itself to people and programs: labels, by which it is found again, and the trace that it belongs
 * to. Neither changes what is done.
 */
import { Schema } from "effect"

/** The most labels of a task. */
export const MAX_LABELS = 32
/** The longest value, in characters. */
export const MAX_VALUE = 200

const KEY = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/
/** For editors: what no value may hold. */
const VALUE = "^[^\\u0000-\\u001f\\u007f]*$"

const Value = Schema.String.pipe(
  Schema.check(
    Schema.isMaxLength(MAX_VALUE, { message: `expected at most ${MAX_VALUE} characters` }),
    Schema.isPattern(new RegExp(VALUE), { message: "expected one line, without control characters" })
  )
)

/** All have to hold at once, so that each is told at the place of the record. */
export const Labels = Schema.Record(Schema.String, Value).pipe(
  Schema.check(
    Schema.makeFilter((labels) => Object.keys(labels).every((key) => KEY.test(key)), {
      message: 'expected keys of at most 63 letters, digits, dots, slashes, dashes and underscores, such as "team"',
      toJsonSchema: () => ({ propertyNames: { pattern: KEY.source } })
    }),
    Schema.makeFilter((labels) => Object.keys(labels).length <= MAX_LABELS, {
      message: `expected at most ${MAX_LABELS} labels`,
      toJsonSchema: () => ({ maxProperties: MAX_LABELS })
    })
  )
)
export type Labels = typeof Labels.Type

/** The label by which the routing strategy `sticky` knows tasks that should go to one agent. */
export const AFFINITY = "affinity"

export const affinityOf = ({ labels }: { readonly labels?: Labels }): string | undefined => labels?.[AFFINITY]

/** Does it have all of these? */
export const hasLabels = (labels: Labels | undefined, wanted: Labels): boolean =>
  Object.entries(wanted).every(
    ([key, value]) => labels !== undefined && Object.hasOwn(labels, key) && labels[key] === value
  )

/** `key=value`, as people write one; undefined where it is none. */
export const labelIn = (text: string): readonly [string, string] | undefined => {
  const [, key, value] = /^([^=]*)=(.*)$/.exec(text) ?? []
  return key !== undefined && value !== undefined && Schema.is(Labels)({ [key]: value }) ? [key, value] : undefined
}

/** One of them, as text. */
export const Label = Schema.String.pipe(
  Schema.check(
    Schema.makeFilter((text: string) => labelIn(text) !== undefined, {
      message: `expected key=value such as "team=web", the value of at most ${MAX_VALUE} characters`
    })
  )
)

/** Said twice, the last. */
export const labelsOf = (texts: ReadonlyArray<string>): Labels =>
  Object.fromEntries(texts.flatMap((text) => [labelIn(text) ?? []].filter((pair) => pair.length > 0)))

/** Version, trace, parent and flags as the W3C's Trace Context has them: no field is all zeros, no version ff. */
const TRACE = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

export const TraceParent = Schema.String.pipe(
  Schema.check(
    Schema.isPattern(TRACE, {
      message:
        'expected a W3C traceparent such as "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", in lower case'
    })
  )
)
