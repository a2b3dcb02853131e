/**
 * How a task stands in the bucket: one JSON value under its key, with the story of its attempts. What is long (the prompt,
 * the answer) stands beside it in pieces that a server takes, written before the value that refers to them and never
 * changed. A value holds what is true now, and, while a move that concerns several keys is under way, what will be.
 */

import { noUsage, type TaskResult } from "../domain/Task.ts"
import { wordOf } from "../state/BucketKey.ts"
import { type AttemptRecord, revived, type TaskRecord } from "./TaskRecord.ts"
import type { TaskSpec } from "./TaskSpec.ts"

/** A task, as the bucket keeps it. */
export interface Entry {
  readonly record: TaskRecord
  readonly attempts: ReadonlyArray<AttemptRecord>
  /** For the ends of which tasks it waits. */
  readonly waits: ReadonlyArray<string>
  /** Grows with each task that a node accepts: the order in which they are listed. */
  readonly born: number
  /** When it came into the queue, where it is in it. */
  readonly queuedAt: number
  /** The node that holds it without a lease of its own. */
  readonly owner: string | undefined
  /** Where its content stands, if it is long; and its result. */
  readonly specIn?: Beside
  readonly resultIn?: Beside
}

export interface Beside {
  readonly id: string
  readonly parts: number
}

/** What a key of a task, or one that guards something of several tasks, holds. */
export interface Held<A> {
  /** Which write this is: by it whoever lost the answer knows its own. */
  readonly by: string
  readonly now?: A
  readonly lock?: { readonly tx: string; readonly next: A }
}

/** Longer texts stand beside, in bytes of JSON. */
export const INLINE = 64 * 1024
/** Of one piece. */
export const PIECE = 512 * 1024

export { wordOf }

export const taskKey = (id: string) => `task.${wordOf(id)}`
export const seriesKey = (series: string) => `series.${wordOf(series)}`
export const nodeKey = (node: string) => `node.${wordOf(node)}`
export const txKey = (tx: string) => `tx.${tx}`
export const besideKey = (id: string, of: Beside, part: number) => `beside.${wordOf(id)}.${of.id}.${part}`
/** All that stands beside this task. */
export const besideAll = (id: string) => `beside.${wordOf(id)}.>`

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const encode = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value))
export const decode = <A>(bytes: Uint8Array): A => JSON.parse(decoder.decode(bytes)) as A

/** In pieces, where it is long. */
export const pieces = (value: unknown): ReadonlyArray<Uint8Array> | undefined => {
  const bytes = encode(value)
  if (bytes.length <= INLINE) return undefined
  const all: Array<Uint8Array> = []
  for (let from = 0; from < bytes.length; from += PIECE) all.push(bytes.subarray(from, from + PIECE))
  return all
}

export const joined = <A>(all: ReadonlyArray<Uint8Array>): A => {
  const bytes = new Uint8Array(all.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const each of all) {
    bytes.set(each, at)
    at += each.length
  }
  return decode(bytes)
}

/** As it is written: without what stands beside. */
export const lean = (entry: Entry): unknown => {
  const { record, ...rest } = entry
  const { result, spec, ...plain } = record
  return {
    ...rest,
    record: {
      ...plain,
      ...(entry.specIn === undefined ? { spec } : {}),
      ...(entry.resultIn === undefined && result !== undefined ? { result } : {})
    }
  }
}

/** JSON leaves out what is undefined. */
export const whole = (entry: Entry, spec: TaskSpec | undefined, result: TaskResult | undefined): Entry => {
  const { record } = entry
  return {
    ...entry,
    attempts: entry.attempts.map((attempt) => ({
      ...attempt,
      endedAt: attempt.endedAt,
      ended: attempt.ended,
      fault: attempt.fault
    })),
    owner: entry.owner,
    record: {
      ...revived(record),
      node: record.node,
      spec: spec ?? record.spec,
      usage: record.usage ?? noUsage,
      result: restored(result ?? record.result)
    }
  }
}

const restored = (result: TaskResult | undefined): TaskResult | undefined =>
  result === undefined
    ? undefined
    : { ...result, output: result.output, fault: result.fault, agent: result.agent, session: result.session }
