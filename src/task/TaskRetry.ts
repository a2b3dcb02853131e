/** What a task may say itself about being tried again; what it leaves out is as the config says. */
import { Schema } from "effect"
import { DurationFromString } from "../domain/Quantity.ts"
import { Attempts, Factor, type RetrySettings } from "./RetrySettings.ts"
import type { TaskSpec } from "./TaskSpec.ts"

const pause = Schema.optionalKey(Schema.toEncoded(DurationFromString))

export const TaskRetry = Schema.Struct({
  attempts: Schema.optionalKey(Attempts).annotateKey({ description: "How often it is tried in all" }),
  delay: pause.annotateKey({ description: "The pause before the second attempt" }),
  factor: Schema.optionalKey(Factor).annotateKey({
    description: "By how much each pause is longer than the one before"
  }),
  maxDelay: pause.annotateKey({
    description: "The longest pause; a limit that says when it ends is waited for, however long"
  })
})
export type TaskRetry = typeof TaskRetry.Type

const read = Schema.decodeUnknownSync(DurationFromString)

export const retryOf = (settings: RetrySettings, { retry = {} }: Pick<TaskSpec, "retry">): RetrySettings => ({
  ...settings,
  ...(retry.attempts === undefined ? {} : { attempts: retry.attempts }),
  ...(retry.factor === undefined ? {} : { factor: retry.factor }),
  ...(retry.delay === undefined ? {} : { delay: read(retry.delay) }),
  ...(retry.maxDelay === undefined ? {} : { maxDelay: read(retry.maxDelay) })
})
