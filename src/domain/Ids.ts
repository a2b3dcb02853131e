/**
 * The names of things. An id is one safe token: it becomes part of a subject, a path and an environment variable, so it
 * holds no dots, slashes, spaces or wildcards.
 */
import { Schema } from "effect"

export const AgentId = Schema.String.pipe(
  Schema.check(
    Schema.isPattern(/^[a-z][a-z0-9-]{0,62}$/, {
      message: 'expected a lower-case name of at most 63 letters, digits and dashes, such as "reviewer-1"'
    })
  ),
  Schema.brand("AgentId")
)
export type AgentId = typeof AgentId.Type

/** One token of a subject, and a key of a bucket. */
export const NodeId = Schema.String.pipe(
  Schema.check(
    Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, {
      message: 'expected a name of at most 63 letters, digits, dashes and underscores, such as "edge-1"'
    })
  )
)

/** That of a further occurrence of a scheduled task ends with its time: "nightly@20300131T030000Z",
 * without colons, which git takes in no branch and PATH in no directory. */
export const TaskId = Schema.String.pipe(
  Schema.check(
    Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9_-]{0,127}(@\d{8}T\d{6}Z)?$/, {
      message: 'expected at most 128 letters, digits, dashes and underscores, such as "fix-login-1"'
    })
  ),
  Schema.brand("TaskId")
)
/** The first of its series. */
export const seriesOf = (id: string): string => id.replace(/@.*$/, "")

export type TaskId = typeof TaskId.Type

export const TaskType = Schema.String.pipe(
  Schema.check(
    Schema.isPattern(/^[a-z][a-z0-9_-]{0,62}$/, {
      message: 'expected a lower-case word of at most 63 letters, digits, dashes and underscores, such as "code"'
    })
  ),
  Schema.brand("TaskType")
)
export type TaskType = typeof TaskType.Type
