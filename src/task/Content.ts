/**
 * What makes a task another one: all that says what is to be done, with what, and within which bound. What says when, in
 * which order, and under which name or trace it is done is no content, and of a task that is there it stays as it is.
 */
import { sourceOf } from "./Continuing.ts"
import { nameOf, pathOf } from "./FileSpec.ts"
import { laneOf } from "./Needs.ts"
import type { TaskSpec } from "./TaskSpec.ts"

/** Every key has its place here: whoever adds one decides. */
const content: { readonly [Key in keyof Required<TaskSpec>]: ((spec: TaskSpec) => unknown) | "no content" } = {
  id: "no content",
  type: ({ type }) => type,
  prompt: ({ prompt }) => prompt,
  agent: ({ agent }) => agent,
  capabilities: (spec) => laneOf(spec),
  schema: ({ schema }) => schema,
  evidence: ({ evidence = [] }) => evidence,
  // By where they are, not by what stands in them: a copy is kept.
  // With files it is where they are, whoever asks for the same again.
  node: ({ files = [], node }) => (files.length > 0 ? undefined : node),
  files: ({ files = [] }) => files.map((file) => [pathOf(file), nameOf(file)]),
  budget: ({ budget: { costUsd, tokens, turns } = {} }) => [costUsd, tokens, turns],
  session: (spec) => sourceOf(spec),
  schedule: ({ schedule }) => schedule,
  timeouts: "no content",
  retry: "no content",
  prefer: "no content",
  priority: "no content",
  notBefore: "no content",
  after: "no content",
  labels: "no content",
  traceparent: "no content"
}

const parts = Object.values(content).flatMap((part) => (part === "no content" ? [] : [part]))

export const sameContent = (a: TaskSpec, b: TaskSpec): boolean =>
  parts.every((part) => {
    const [one, other] = [part(a), part(b)]
    return one === other || JSON.stringify(one) === JSON.stringify(other)
  })
