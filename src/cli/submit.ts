/** `submit`: give a running node a task; wait for its end, or watch it being done, where that is wanted. */
import { readFile } from "node:fs/promises"
import { Effect, Fiber, Option, Schema, Stream } from "effect"
import type { TaskResult } from "../domain/Task.ts"
import type { Published } from "../event/Event.ts"
import { TaskInvalid } from "../task/TaskError.ts"
import { MAX_PROMPT, TaskSpec } from "../task/TaskSpec.ts"
import { TasksFailed } from "./CliFault.ts"
import { err, jsonLine, out, painter } from "./Printing.ts"
import { UsageWrong } from "./UsageFault.ts"
import { type Where, withNode } from "./Where.ts"
import { describe, harmless, type Paint, resultLine } from "./Words.ts"

export interface SubmitInput {
  readonly prompt: Option.Option<string>
  readonly file: Option.Option<string>
  readonly id: Option.Option<string>
  readonly type: Option.Option<string>
  readonly agent: Option.Option<string>
  readonly requires: Option.Option<string>
  readonly label: Option.Option<string>
  readonly schema: Option.Option<string>
  readonly session: Option.Option<string>
  readonly wait: boolean
  readonly follow: boolean
  readonly json: boolean
  readonly where: Where
}

export const submit = Effect.fn("cli.submit")(function* (input: SubmitInput) {
  const task = yield* taskOf(input)
  const p = yield* painter
  yield* withNode(
    input.where,
    Effect.fnUntraced(function* (node) {
      const send = node.ask((client) => client.submit({ payload: task }))
      if (!input.wait && !input.follow) {
        const accepted = yield* send
        return yield* input.json ? jsonLine(accepted) : out(`task ${accepted.id} is ${accepted.state}`)
      }
      // Whoever follows listens first, so that nothing of it is missed.
      const events = input.follow ? yield* node.events({ follow: true }) : Stream.empty
      const { id, state } = yield* send
      if (!input.json) yield* err(p("dim", `task ${id} is accepted`))
      const progress = yield* events.pipe(
        Stream.filter((event) => event["task"] === id),
        Stream.tap((event) => tell(event as unknown as Published, input.json, p)),
        Stream.takeUntil(({ to, type }) => type === "task.state" && ENDS.has(to)),
        Stream.runDrain,
        Effect.forkScoped
      )
      const result = yield* node.result(id)
      // What it has done comes before how it ended; of a task that had ended before, nothing comes any more.
      if (!ENDS.has(state)) yield* Effect.timeoutOption(Fiber.await(progress), PROGRESS)
      yield* show(result, input.json, p)
      if (result.status !== "succeeded") yield* new TasksFailed({ failed: 1 })
    }, Effect.scoped)
  )
})

const ENDS: ReadonlySet<unknown> = new Set(["succeeded", "failed", "cancelled", "dead"])

/** How long the last events of a task may take after its result. */
const PROGRESS = "1 second"

const tell = (event: Published, json: boolean, p: Paint) => {
  if (json) return jsonLine(event)
  const line = describe(event, p)
  return line === undefined ? Effect.void : err(line)
}

/** The answer alone goes to stdout, so that a script can take it; how it was had is told beside it. */
const show = Effect.fnUntraced(function* (result: TaskResult, json: boolean, p: Paint) {
  if (json) return yield* jsonLine({ type: "task.result", ...result })
  yield* err(resultLine(result, p))
  if (result.status !== "succeeded") return
  const answer = result.output === undefined ? result.text : JSON.stringify(result.output)
  yield* out(process.stdout.isTTY ? harmless(answer) : answer)
})

const decodeTask = Schema.decodeUnknownEffect(TaskSpec, { errors: "all", onExcessProperty: "error" })

const taskOf = Effect.fnUntraced(function* (input: SubmitInput) {
  const prompt = yield* promptOf(input)
  const schema = Option.isNone(input.schema) ? undefined : yield* schemaOf(input.schema.value)
  return yield* Effect.mapError(
    decodeTask({
      prompt,
      ...(schema === undefined ? {} : { schema }),
      ...said("id", input.id),
      ...said("type", input.type),
      ...said("agent", input.agent),
      ...said("session", input.session),
      ...said("capabilities", Option.map(input.requires, words)),
      ...said("label", input.label)
    }),
    ({ message }) => new TaskInvalid({ problem: message })
  )
})

/** A capability may hold spaces, not begin or end with them. */
const words = (text: string) => text.split(",").map((each) => each.trim())

const said = (key: string, value: Option.Option<unknown>) => (Option.isSome(value) ? { [key]: value.value } : {})

const promptOf = Effect.fnUntraced(function* ({ file, prompt }: SubmitInput) {
  if (Option.isSome(prompt) && Option.isSome(file)) {
    return yield* new UsageWrong({
      problem: "there is a prompt, and a --file with another",
      advice: "give one of them"
    })
  }
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

const schemaOf = Effect.fnUntraced(function* (file: string) {
  const text = yield* textOf(file)
  return yield* Effect.try({ try: () => JSON.parse(text) as unknown, catch: (error) => unreadable(file, error) })
})
