/**
 * Whether what stands under a key is what a node writes there. Who may write to the bucket may write anything, and what one
 * value is must not keep a node from the others: what is no such value is passed over, and never thrown.
 */
import { Schema } from "effect"
import { AgentId, NodeId, TaskId } from "../domain/Ids.ts"
import { TASK_STATES } from "../domain/Task.ts"
import { decode, type Entry, type Held, taskKey } from "./JetStreamEntry.ts"
import type { Beat } from "./JetStreamPeers.ts"
import { TaskSpec } from "./TaskSpec.ts"

/** Pieces of one value: of more than all that a bucket should hold. */
const MAX_PARTS = 4_096
/** One word of a key. */
const WORD = /^[A-Za-z0-9_=-]{1,255}$/
/** A key that a move may concern. */
const KEY = /^(task|series)\.[A-Za-z0-9_=-]{1,1024}$/

/** What is said of a move of several keys. */
export interface Tx {
  readonly by: string
  readonly state: "open" | "committed" | "aborted"
  readonly keys: ReadonlyArray<string>
}

const Count = Schema.Int.pipe(Schema.check(Schema.isGreaterThanOrEqualTo(0)))
const Text = Schema.optionalKey(Schema.String)
const Time = Schema.optionalKey(Schema.Finite)
const Usage = Schema.Struct({
  turns: Schema.Finite,
  inputTokens: Schema.Finite,
  outputTokens: Schema.Finite,
  costUsd: Schema.Finite
})
const Fault = Schema.Struct({ kind: Schema.String, message: Schema.String })
const Result = Schema.Struct({
  task: TaskId,
  status: Schema.Literals(["succeeded", "failed"]),
  text: Schema.String,
  fault: Schema.optionalKey(Fault),
  agent: Text,
  session: Text,
  attempts: Schema.Finite,
  denied: Schema.Array(Schema.String),
  usage: Usage,
  tookMillis: Schema.Finite
})
const Attempt = Schema.Struct({
  attempt: Count,
  agent: Schema.String,
  begunAt: Schema.Finite,
  endedAt: Time,
  ended: Schema.optionalKey(Schema.Literals(TASK_STATES)),
  fault: Schema.optionalKey(Fault),
  words: Text
})
const Ref = Schema.optionalKey(
  Schema.Struct({
    id: Schema.String.pipe(Schema.check(Schema.isPattern(WORD))),
    parts: Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: 1, maximum: MAX_PARTS })))
  })
)
/** What it is made of is not looked at further than the code goes without looking. */
const Lean = Schema.Struct({
  record: Schema.Struct({
    id: Schema.String,
    state: Schema.Literals(TASK_STATES),
    attempt: Count,
    before: Count,
    interruptions: Count,
    agent: Schema.optionalKey(AgentId),
    node: Schema.optionalKey(NodeId),
    submittedAt: Schema.Finite,
    startedAt: Time,
    endedAt: Time,
    dueAt: Time,
    leaseUntil: Time,
    beginBy: Time,
    endBy: Time,
    series: Text,
    occursAt: Time,
    lastFault: Schema.optionalKey(Fault),
    usage: Schema.optionalKey(Usage)
  }),
  attempts: Schema.Array(Attempt),
  waits: Schema.Array(Schema.String),
  born: Count,
  queuedAt: Schema.Finite,
  owner: Text,
  specIn: Ref,
  resultIn: Ref
})
const isLean = Schema.is(Lean)
const isHeld = Schema.is(
  Schema.Struct({
    by: Schema.String,
    lock: Schema.optionalKey(Schema.Struct({ tx: Schema.String.pipe(Schema.check(Schema.isPattern(WORD))) }))
  })
)
const isTx = Schema.is(
  Schema.Struct({
    by: Schema.String,
    state: Schema.Literals(["open", "committed", "aborted"]),
    keys: Schema.Array(Schema.String.pipe(Schema.check(Schema.isPattern(KEY))))
  })
)
const isBeat = Schema.is(
  Schema.Struct({ session: Schema.String, every: Schema.optionalKey(Schema.Finite), home: Text, claim: Time })
)
const isSpec = Schema.is(TaskSpec)
const isResult = Schema.is(Result)

/** What is nested too deep for the stack is nothing either. */
const sure = <A>(look: () => A | undefined): A | undefined => {
  try {
    return look()
  } catch {
    return undefined
  }
}
const shaped = <A>(bytes: Uint8Array | undefined, is: (value: unknown) => boolean): A | undefined =>
  bytes === undefined
    ? undefined
    : sure(() => {
        const value = decode<A>(bytes)
        return is(value) ? value : undefined
      })

/** The value of a task or a guard; undefined where it is none. */
export const heldOf = (bytes: Uint8Array | undefined): Held<unknown> | undefined => shaped(bytes, isHeld)
export const txOf = (bytes: Uint8Array | undefined): Tx | undefined => shaped(bytes, isTx)
/** The sign of life of a node. */
export const signOf = <A extends Beat>(bytes: Uint8Array | undefined): A | undefined => shaped(bytes, isBeat)

/** As it is written: what stands beside is looked at when it is there. */
export const isEntry = (key: string, now: unknown): now is Entry =>
  sure(() => isLean(now) && taskKey(now.record.id) === key) ?? false

/** With what stands beside it. */
export const isWhole = ({ record: { id, result, spec } }: Entry): boolean =>
  sure(() => isSpec(spec) && spec.id === id && (result === undefined || isResult(defined(result)))) ?? false

/** Here what JSON leaves out is undefined. */
const defined = (value: object) => Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined))
