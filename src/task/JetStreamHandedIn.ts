/**
 * What somebody who is no node hands in on `tasks.{type}.queue`: a TaskAssignment in an envelope, or plain JSON as in `tasks`
 * of a config. Whatever it is, it is read or refused with what is wrong with it, as MessageUnreadable.
 */
import { Effect, Schema } from "effect"
import type { Fault } from "../domain/Fault.ts"
import { TaskId } from "../domain/Ids.ts"
import * as Envelope from "../message/Envelope.ts"
import { MessageUnreadable } from "../message/MessageError.ts"
import { TaskSpec } from "./TaskSpec.ts"

/** Objects and lists within each other: what is nested deeper overflows the stack of somebody who handles it. */
const MAX_NESTED = 500

const readSpec = Schema.decodeUnknownEffect(TaskSpec)
const isTaskId = Schema.is(TaskId)
const utf8 = new TextDecoder("utf-8", { fatal: true })

/** How deep it is nested, without a stack of its own. */
const nesting = (json: string): number => {
  let depth = 0
  let deepest = 0
  let isText = false
  for (let at = 0; at < json.length; at++) {
    const letter = json[at]
    if (isText && letter === "\\") at++
    else if (letter === '"') isText = !isText
    else if (isText) continue
    else if (letter === "{" || letter === "[") deepest = Math.max(deepest, ++depth)
    else if (letter === "}" || letter === "]") depth--
  }
  return deepest
}

/** What was sent: in an envelope, or plain JSON as in `tasks` of a config. */
export const specOf = (bytes: Uint8Array, taskType: string, otherwise: string): Effect.Effect<TaskSpec, Fault> =>
  Effect.gen(function* () {
    const unreadable = (problem: string) => new MessageUnreadable({ problem: problem.slice(0, 1000) })
    const json = yield* Effect.try({
      try: () => {
        const text = utf8.decode(bytes)
        if (nesting(text) > MAX_NESTED) throw new Error(`it is nested deeper than ${MAX_NESTED} levels`)
        return JSON.parse(text) as unknown
      },
      catch: (error) => unreadable(String(error))
    })
    if (typeof json !== "object" || json === null) return yield* unreadable("it is no JSON object")
    let given: Readonly<Record<string, unknown>> = json as Readonly<Record<string, unknown>>
    let id = otherwise
    if ("version" in given && "body" in given) {
      const envelope = yield* Envelope.decode(bytes)
      if (envelope.type !== "TaskAssignment")
        return yield* unreadable(`it is a ${envelope.type}, and no TaskAssignment`)
      given = envelope.body
      if (isTaskId(envelope.id)) id = envelope.id
    }
    const spec = yield* Effect.mapError(
      readSpec({ id, type: taskType, ...given }, { onExcessProperty: "error" }),
      (error) => unreadable(error.message)
    )
    if (spec.type !== taskType)
      return yield* unreadable(`its type is "${spec.type}", and its subject says "${taskType}"`)
    if (spec.files !== undefined)
      return yield* unreadable("files are on the machine of who submits, and cannot be sent so")
    return spec
  }).pipe(
    Effect.catchDefect((defect) => Effect.fail(new MessageUnreadable({ problem: String(defect).slice(0, 1000) })))
  )
