/** `task ID`: the whole story of one task: what was asked, what happened, how it ended. */
import { Effect, Stream } from "effect"
import { resultOf, type TaskStory } from "../admin/TaskView.ts"
import type { Published } from "../event/Event.ts"
import { sentence } from "./events.ts"
import { jsonLine, out, painter } from "./Printing.ts"
import { afterWords, budgetWords, evidenceWords, filesWords, labelWords } from "./TaskWords.ts"
import { type Where, withNode } from "./Where.ts"
import { dollars, harmless, type Paint, resultLine, seconds } from "./Words.ts"

export const task = Effect.fn("cli.task")(function* ({
  id,
  json,
  where
}: {
  readonly id: string
  readonly json: boolean
  readonly where: Where
}) {
  const p = yield* painter
  yield* withNode(
    where,
    Effect.fnUntraced(function* (node) {
      const view = yield* node.ask((client) => client.task({ params: { id } }))
      const events = yield* Stream.runCollect(yield* node.events({ follow: false, task: id }))
      if (json) return yield* jsonLine({ ...view, events })
      yield* out(story(view, events as unknown as ReadonlyArray<Published>, p))
    })
  )
})

const time = (millis: number) => new Date(millis).toLocaleString("sv-SE")

/** A line for each attempt; the last one's fault is told as the problem of the task too. */
const attempts = (history: TaskStory["history"], p: Paint): ReadonlyArray<string> =>
  history.flatMap(({ agent, attempt, begunAt, ended, endedAt, fault, missing = [], node, words }) => {
    const end = endedAt === undefined ? "under way" : `to ${time(endedAt)}, ${ended}`
    const why = fault === undefined ? "" : `: ${fault.message}`
    return [
      `${p("dim", `${attempt}.`)} ${agent}${node === undefined ? "" : ` on ${node}`}, ${time(begunAt)} ${end}${why}`,
      ...missing.map(({ found, proof }) => `   ${p("dim", "missing:")} ${proof}: ${found}`),
      ...(words === undefined ? [] : [`   ${p("dim", "last words:")} ${words.replaceAll("\n", "\n   ")}`])
    ]
  })

const scheduleWords = ({ id, schedule, series }: Pick<TaskStory, "id" | "schedule" | "series">) => {
  if (schedule === undefined) return undefined
  const [cron, zone = "UTC"] = typeof schedule === "string" ? [schedule] : [schedule.cron, schedule.timeZone]
  return `${cron} (${zone})${series === undefined || series === id ? "" : `, of the series ${series}`}`
}

export const story = (raw: TaskStory, events: ReadonlyArray<Published>, p: Paint): string => {
  const { history, result, ...view } = harmless(raw)
  const { costUsd, inputTokens, outputTokens, turns } = view.usage
  const facts: ReadonlyArray<readonly [string, string | undefined]> = [
    [
      "state",
      `${view.state}${view.attempt > 0 ? `, attempt ${view.attempt}` : ""}${view.interruptions > 0 ? `, broken off ${view.interruptions} times` : ""}`
    ],
    ["type", view.type],
    ["agent", view.agent ?? (view.only === undefined ? undefined : `${view.only} only`)],
    ["node", view.node ?? (view.onlyOn === undefined ? undefined : `${view.onlyOn} only`)],
    ["prefers", view.prefer],
    ["requires", view.capabilities?.join(", ")],
    ["submitted", time(view.submittedAt)],
    ["begun", view.startedAt === undefined ? undefined : time(view.startedAt)],
    ["due", view.dueAt === undefined ? undefined : time(view.dueAt)],
    ["begin by", view.beginBy === undefined ? undefined : time(view.beginBy)],
    ["end by", view.endBy === undefined ? undefined : time(view.endBy)],
    ["schedule", scheduleWords(view)],
    ["took", result === undefined ? undefined : seconds(result.tookMillis)],
    [
      "cost",
      turns === 0
        ? undefined
        : `${dollars(costUsd)} (${turns} ${turns === 1 ? "turn" : "turns"}, ${inputTokens} tokens in, ${outputTokens} out)`
    ],
    ["priority", view.priority === undefined ? undefined : String(view.priority)],
    ["not before", view.notBefore],
    ["after", afterWords(view)],
    ["labels", labelWords(view.labels)],
    ["trace", view.traceparent],
    ["budget", budgetWords(view)],
    ["files", filesWords(view)],
    ["evidence", evidenceWords(view)],
    ["session", result?.session],
    ["workspace", result?.workspace?.path],
    ["branch", result?.workspace?.branch],
    ["commit", result?.workspace?.head],
    ["denied", result?.denied.length ? result.denied.join(", ") : undefined],
    ["problem", view.lastFault?.message],
    ["hint", view.lastFault?.hint],
    ["attempts", history.length === 0 ? undefined : attempts(history, p).join("\n")],
    ["schema", view.schema === undefined ? undefined : JSON.stringify(view.schema)],
    ["prompt", view.prompt]
  ]
  const answer = result?.output === undefined ? result?.text : JSON.stringify(result.output, undefined, 2)
  return [
    p("bold", view.id),
    ...facts.flatMap(([name, value]) =>
      value === undefined ? [] : [`  ${p("dim", name.padEnd(12))}${value.replaceAll("\n", `\n${" ".repeat(14)}`)}`]
    ),
    ...events.map((event) => `  ${sentence(event, p)}`),
    ...(result === undefined ? [] : [resultLine(resultOf(result), p)]),
    ...(answer === undefined || answer === "" ? [] : ["", answer])
  ].join("\n")
}
