/**
 * The questions of `init`, with the flag and the default of each. What a flag has answered is not asked.
 */
import { basename, dirname, resolve } from "node:path"
import { Effect, Option } from "effect"
import { Prompt } from "effect/cli"
import { type Answers, CREDENTIALS } from "../config/Starter.ts"
import { UsageWrong } from "./UsageFault.ts"

export interface InitFlags {
  readonly name: Option.Option<string>
  readonly agent: Option.Option<string>
  readonly agents: Option.Option<number>
  readonly workspace: Option.Option<string>
  readonly model: Option.Option<string>
  readonly credential: Option.Option<string>
  readonly credentialAs: Option.Option<(typeof CREDENTIALS)[number]>
  readonly permissionMode: Option.Option<string>
}

/** For those who cannot be asked. */
export const FLAGS =
  "--name NAME, --agent NAME, --agents N, --workspace DIR, --model MODEL, --credential none|env:NAME|file:PATH, --credential-as VARIABLE, --permission-mode MODE"

/** What they mean to a person who has not read about them. The careful one first. */
const MODES = [
  ["default", "reads; what would have to be asked is denied"],
  ["plan", "reads and plans, changes nothing"],
  ["acceptEdits", "edits files in its workspace, runs only what is allowed"],
  ["dontAsk", "does what is allowed, denies all else"],
  ["auto", "Claude judges each step by itself"],
  ["bypassPermissions", "does anything: only where nothing can be harmed"]
] as const

/** The name of the directory, where it can be one. */
const nameFor = (file: string): string => basename(dirname(resolve(file))) || "mister-smith"

/** `yes`: nothing is asked, and what no flag says is the default. */
export const answers = Effect.fn("cli.initAnswers")(function* (file: string, flags: InitFlags, yes: boolean) {
  const ask = <A>(flag: Option.Option<A>, prompt: Prompt.Prompt<A>, otherwise: A) =>
    Option.isSome(flag) ? Effect.succeed(flag.value) : yes ? Effect.succeed(otherwise) : Prompt.run(prompt)
  const text = (flag: Option.Option<string>, message: string, otherwise: string) =>
    ask(flag, Prompt.String({ message, default: otherwise }), otherwise)

  const name = yield* text(flags.name, "What is this node called?", nameFor(file))
  const agent = yield* text(flags.agent, "What are its agents called?", "worker")
  const agents = yield* ask(
    flags.agents,
    Prompt.Int({ message: "How many of them?", min: 1, max: 1000, default: 1 }),
    1
  )
  // Nothing is the default of these, and can be given as a word by a flag.
  const workspace = yield* text(flags.workspace, "In which directory do they work? (empty: each in one of its own)", "")
  const model = yield* text(flags.model, "Which model? (empty: the CLI's own)", "")
  const kept = yield* text(
    flags.credential,
    "Where is the credential? (env:NAME, file:PATH; empty: the CLI is logged in)",
    ""
  )
  const credential = yield* credentialOf(kept)
  const as = Option.getOrElse(flags.credentialAs, () => variableOf(credential))
  const permissions = yield* ask(
    flags.permissionMode,
    Prompt.Select({
      message: "What may they do without being asked?",
      choices: MODES.map(([value, description]): { title: string; value: string; description: string } => ({
        title: value,
        value,
        description
      }))
    }),
    "default"
  )
  return {
    name,
    agent,
    agents,
    workspace: workspace === "own" || workspace === "" ? undefined : workspace,
    model: model === "default" || model === "" ? undefined : model,
    credential,
    as,
    permissions
  } satisfies Answers
})

const credentialOf = (kept: string): Effect.Effect<Answers["credential"], UsageWrong> => {
  const [, kind, where] = /^(env|file):(.+)$/s.exec(kept) ?? []
  if (kept === "none" || kept === "") return Effect.succeed(undefined)
  if (where !== undefined) return Effect.succeed(kind === "env" ? { env: where } : { file: where })
  // What was given is not shown: it may be the secret itself.
  return Effect.fail(
    new UsageWrong({
      problem: "a credential is named by where it is kept, never given itself",
      advice: "expected none, env:NAME or file:PATH"
    })
  )
}

/** A variable that a CLI knows is handed on under its own name. */
const variableOf = (credential: Answers["credential"]): Answers["as"] =>
  CREDENTIALS.find((known) => credential !== undefined && "env" in credential && credential.env === known) ??
  "ANTHROPIC_API_KEY"
