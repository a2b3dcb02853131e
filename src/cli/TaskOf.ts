/** From the words of a command line, and the files they name, to a task. What is said by a flag goes before what the file says. */
import { readFile } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { Effect, Option, Schema } from "effect"
import { withPaths } from "../task/FileSpec.ts"
import { TaskInvalid } from "../task/TaskError.ts"
import { MAX_PROMPT, TaskSpec } from "../task/TaskSpec.ts"
import { type Draft, said, type TaskFlags } from "./TaskFlags.ts"
import { UsageWrong } from "./UsageFault.ts"

export interface TaskInput extends TaskFlags {
  readonly prompt: Option.Option<string>
  readonly file: Option.Option<string>
  readonly task: Option.Option<string>
}

const decodeTask = Schema.decodeUnknownEffect(TaskSpec, { errors: "all", onExcessProperty: "error" })

const decode = (draft: Draft) => Effect.mapError(decodeTask(draft), ({ issue }) => TaskInvalid.inIssue(issue))

export const taskOf = Effect.fnUntraced(function* (input: TaskInput) {
  const file = Option.getOrUndefined(input.task)
  const whole = file === undefined ? {} : yield* objectIn(file)
  let draft: Draft = whole
  if (file !== undefined && Array.isArray(whole["files"])) {
    // Its paths begin where it lies; what is no path is told of with all the rest.
    const { files } = yield* Effect.orElseSucceed(decode({ prompt: "p", files: whole["files"] }), () => ({
      files: undefined
    }))
    if (files !== undefined) draft = { ...draft, ...withPaths({ files }, dirname(resolve(file))) }
  }
  const prompt = yield* promptOf(input, typeof whole["prompt"] === "string")
  if (prompt !== undefined) draft = { ...draft, prompt }
  for (const [value, row] of said(input))
    draft = row.to((row.reads ? yield* jsonIn(String(value)) : value) as never, draft)
  if (Option.isSome(input.timeZone) && !hasCron(draft["schedule"])) {
    return yield* new UsageWrong({
      problem: "--time-zone is the zone of a schedule, and there is none",
      advice: 'give it with --schedule, such as --schedule "0 3 * * *"'
    })
  }
  return yield* decode(draft)
})

const hasCron = (schedule: unknown) => typeof schedule === "object" && schedule !== null && "cron" in schedule

/** Undefined: the one of the file. */
const promptOf = Effect.fnUntraced(function* ({ file, prompt }: TaskInput, hasOne: boolean) {
  if (Option.isSome(prompt) && Option.isSome(file)) {
    return yield* new UsageWrong({
      problem: "there is a prompt, and a --file with another",
      advice: "give one of them"
    })
  }
  if (hasOne && Option.isNone(prompt) && Option.isNone(file)) return undefined
  const from = Option.getOrElse(
    Option.orElse(file, () => prompt),
    () => "-"
  )
  if (Option.isSome(prompt) && from !== "-") return from
  if (from !== "-") return yield* textOf(from)
  if (process.stdin.isTTY && Option.isNone(file) && Option.isNone(prompt)) {
    return yield* new UsageWrong({
      problem: "there is no prompt",
      advice: 'say it (mister-smith submit "Fix the login."), or give --file FILE, or pipe it in'
    })
  }
  return yield* stdin
})

const unreadable = (file: string, error: unknown) =>
  new UsageWrong({ problem: `${file}: ${error instanceof Error ? error.message : String(error)}` })

const textOf = (file: string) =>
  Effect.tryPromise({ try: () => readFile(file, "utf8"), catch: (error) => unreadable(file, error) })

/** To its end, or to more than a prompt may be. */
const stdin = Effect.tryPromise({
  try: async () => {
    const parts: Array<Buffer> = []
    let size = 0
    for await (const part of process.stdin) {
      parts.push(Buffer.from(part))
      size += part.length
      if (size > 4 * MAX_PROMPT) break
    }
    return Buffer.concat(parts).toString("utf8")
  },
  catch: (error) => unreadable("standard input", error)
})

const jsonIn = Effect.fnUntraced(function* (file: string) {
  const text = yield* textOf(file)
  return yield* Effect.try({ try: () => JSON.parse(text) as unknown, catch: (error) => unreadable(file, error) })
})

const objectIn = Effect.fnUntraced(function* (file: string) {
  const value = yield* jsonIn(file)
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Draft
  return yield* new UsageWrong({ problem: `${file}: expected a JSON object, a task as the config has it` })
})
