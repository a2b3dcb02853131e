/** What was asked of a task and how it stands, in the words of the commands. Undefined where nothing was said. */
import type { TaskView } from "../admin/TaskView.ts"
import { nameOf } from "../task/EvidenceSpec.ts"

export const labelWords = (labels: Readonly<Record<string, string>> | undefined): string | undefined =>
  labels === undefined || Object.keys(labels).length === 0
    ? undefined
    : Object.entries(labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(" ")

export const afterWords = ({ after = [] }: Pick<TaskView, "after">): string | undefined =>
  after.length === 0
    ? undefined
    : after
        .map((edge) =>
          typeof edge === "string" ? edge : edge.onFailure === "run" ? `${edge.task} (however it ends)` : edge.task
        )
        .join(", ")

export const evidenceWords = ({ evidence = [] }: Pick<TaskView, "evidence">): string | undefined =>
  evidence.length === 0 ? undefined : evidence.map(nameOf).join("\n")

export const filesWords = ({ files = [] }: Pick<TaskView, "files">): string | undefined =>
  files.length === 0
    ? undefined
    : files
        .map((file) =>
          typeof file === "string" ? file : file.name === undefined ? file.path : `${file.name}: ${file.path}`
        )
        .join("\n")

export const budgetWords = ({ budget = {} }: Pick<TaskView, "budget">): string | undefined => {
  const { costUsd, tokens, turns } = budget
  const parts = [
    ...(costUsd === undefined ? [] : [`$${costUsd}`]),
    ...(turns === undefined ? [] : [`${turns} ${turns === 1 ? "turn" : "turns"}`]),
    ...(tokens === undefined ? [] : [`${tokens} tokens`])
  ]
  return parts.length === 0 ? undefined : parts.join(", ")
}

/** How a task stands, to be said after its name. */
export const standing = (state: string): string => {
  switch (state) {
    case "succeeded":
    case "failed":
      return `has ${state}`
    case "cancelled":
      return "was cancelled"
    case "dead":
      return "was given up"
    default:
      return `is ${state}`
  }
}
