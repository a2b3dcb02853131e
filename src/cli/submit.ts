/** `submit`: give a running node a task; wait for its end, or watch it being done, where that is wanted. */
import { Effect, Fiber, Stream } from "effect"
import type { TaskResult } from "../domain/Task.ts"
import type { Published } from "../event/Event.ts"
import { TasksFailed } from "./CliFault.ts"
import { err, jsonLine, out, painter } from "./Printing.ts"
import { type TaskInput, taskOf } from "./TaskOf.ts"
import { standing } from "./TaskWords.ts"
import { type Where, withNode } from "./Where.ts"
import { describe, harmless, type Paint, resultLine } from "./Words.ts"

export interface SubmitInput extends TaskInput {
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
        return yield* input.json ? jsonLine(accepted) : out(`task ${accepted.id} ${standing(accepted.state)}`)
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
export const show = Effect.fnUntraced(function* (result: TaskResult, json: boolean, p: Paint) {
  if (json) return yield* jsonLine({ type: "task.result", ...result })
  yield* err(resultLine(result, p))
  if (result.status !== "succeeded") return
  const answer = result.output === undefined ? result.text : JSON.stringify(result.output)
  yield* out(process.stdout.isTTY ? harmless(answer) : answer)
})
