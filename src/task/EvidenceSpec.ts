/** What a task may declare as its proof: which commands succeed, which files are there, how the repository stands. */
import { Schema } from "effect"
import { PositiveDurationFromString } from "../domain/Quantity.ts"
import { Text } from "../domain/Text.ts"
import { brief } from "../event/Event.ts"

/** More proofs than this are better one script. */
export const MAX_PROOFS = 10
/** The longest pattern, argument, path or name, in characters. */
const MAX_TEXT = 1000
const MAX_ARGUMENTS = 100

const bounded = Text.pipe(
  Schema.check(Schema.isMaxLength(MAX_TEXT, { message: `expected at most ${MAX_TEXT} characters` }))
)

/** Which can be compiled; kept as it was written, because it is written down with its task. */
const Pattern = bounded.pipe(
  Schema.check(
    Schema.makeFilter(
      (text: string) => {
        try {
          new RegExp(text, "mu")
          return true
        } catch {
          return false
        }
      },
      { message: "expected a regular expression, as JavaScript has them with the flags m and u" }
    )
  )
)

/** Looked at as text here, and once more as what it leads to when the file is looked for. */
const Within = bounded.pipe(
  Schema.check(
    Schema.makeFilter((path: string) => !path.startsWith("/") && !path.split("/").includes(".."), {
      message: 'expected a path within the workspace, relative and without ".."'
    })
  )
)

/** What git takes for a branch, a tag or a commit, and never for a flag or a range. */
const Revision = bounded.pipe(
  Schema.check(
    Schema.makeFilter((name: string) => /^[A-Za-z0-9_][A-Za-z0-9_./@-]*$/.test(name) && !name.includes(".."), {
      message: 'expected a branch, a tag or a commit, such as "main"'
    })
  )
)

/** All that one may hold; which belong together is checked below, so that a mistake is told at its place. */
export const Proof = Schema.Struct({
  command: Schema.optionalKey(
    Schema.Array(bounded).pipe(
      Schema.check(
        Schema.isMinLength(1, { message: "expected a program and its arguments, each a text of its own" }),
        Schema.isMaxLength(MAX_ARGUMENTS, { message: `expected at most ${MAX_ARGUMENTS} arguments` })
      )
    )
  ).annotateKey({ description: "A program and its arguments, run in the agent's workspace, that must exit with 0" }),
  timeLimit: Schema.optionalKey(Schema.toEncoded(PositiveDurationFromString)).annotateKey({
    description: 'With command: how long it may take. Default "10 minutes"'
  }),
  file: Schema.optionalKey(Within).annotateKey({ description: "A file in the agent's workspace that must exist" }),
  matches: Schema.optionalKey(Pattern).annotateKey({
    description: "With file: a regular expression that its text must match somewhere. Default: any text"
  }),
  git: Schema.optionalKey(Schema.Literals(["clean", "ahead"])).annotateKey({
    description:
      "clean: nothing in the workspace's repository is uncommitted. ahead: its HEAD has commits that `of` has not"
  }),
  of: Schema.optionalKey(Revision).annotateKey({ description: "With git ahead: the branch it must be ahead of" }),
  denied: Schema.optionalKey(Schema.Literals(["none"])).annotateKey({
    description: "none: no tool was denied to the agent in its last turn"
  })
}).pipe(
  Schema.check(
    Schema.makeFilter((proof) => KINDS.filter((kind) => proof[kind] !== undefined).length === 1, {
      message: "expected exactly one of command, file, git, denied",
      toJsonSchema: () => ({ oneOf: KINDS.map((kind) => ({ required: [kind] })) })
    }),
    Schema.makeFilter((proof) => proof.timeLimit === undefined || proof.command !== undefined, {
      message: "timeLimit goes with command only"
    }),
    Schema.makeFilter((proof) => proof.matches === undefined || proof.file !== undefined, {
      message: "matches goes with file only"
    }),
    Schema.makeFilter((proof) => (proof.of !== undefined) === (proof.git === "ahead"), {
      message: '"git": "ahead" needs "of", and nothing else has it'
    })
  )
)
export type Proof = typeof Proof.Type

/** What it is called where it is told of. */
export const nameOf = (proof: Proof): string => {
  if (proof.command !== undefined) return brief(`command ${proof.command.join(" ")}`)
  if (proof.file !== undefined)
    return brief(proof.matches === undefined ? `file ${proof.file}` : `file ${proof.file} matches ${proof.matches}`)
  if (proof.git !== undefined)
    return proof.of === undefined ? `git ${proof.git}` : brief(`git ${proof.git} of ${proof.of}`)
  return "denied none"
}

const KINDS = ["command", "file", "git", "denied"] as const

export const EvidenceSpec = Schema.Array(Proof).pipe(
  Schema.check(Schema.isMaxLength(MAX_PROOFS, { message: `expected at most ${MAX_PROOFS} proofs` }))
)
