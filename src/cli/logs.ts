/**
 * `logs AGENT`: what an agent said and did. From the events that the node has kept; from its log files where more is asked
 * for than those, or no node runs, which is said; with `--follow` on to its end. The id of a group means all its
 * replicas, `all` everybody.
 */
import { Effect, Option, Stream } from "effect"
import type { NodeUnreachable } from "../admin/AdminError.ts"
import { speaksOf } from "../admin/EventView.ts"
import type { Published } from "../event/Event.ts"
import type { Line } from "../observability/LogLine.ts"
import * as LogReader from "../observability/LogReader.ts"
import { sentence } from "./events.ts"
import { err, jsonLine, out, painter } from "./Printing.ts"
import { agentsWithoutNode, rawLogs } from "./rawLogs.ts"
import { targets } from "./Targets.ts"
import { type AgentInput, withNode } from "./Where.ts"
import { harmless, type Paint } from "./Words.ts"

export interface LogsInput extends AgentInput {
  readonly follow: boolean
  readonly raw: boolean
  readonly last: Option.Option<number>
  /** Milliseconds since the epoch. */
  readonly since: Option.Option<number>
}

/** A line of an agent's log file: an event, or what its CLI has printed on stderr. */
type Told = (Published & { readonly time?: string }) | (Line & { readonly type: "cli.stderr"; readonly text: string })

export const logs = Effect.fn("cli.logs")(function* (input: LogsInput) {
  if (input.raw) return yield* rawLogs(input)
  const { agent, follow, json, last, since, where } = input
  const p = yield* painter
  const show = (line: Told) => (json ? jsonLine(line) : out(inWords(line, p)))
  const asked = { last: Option.getOrUndefined(last), since: Option.getOrUndefined(since) }
  const fromFiles = Effect.fnUntraced(function* (dataDir: string, agents: ReadonlyArray<string>) {
    const kept = yield* Effect.forEach(agents, (id) =>
      Effect.promise(() => LogReader.read(dataDir, id, { ...asked, only: isTold }))
    )
    const broken = kept.reduce((sum, { broken }) => sum + broken, 0)
    if (broken > 0) yield* err(p("yellow", `${broken} lines of the log files could not be read and are left out`))
    const lines = kept.flatMap(({ lines }) => lines) as ReadonlyArray<unknown> as ReadonlyArray<Told>
    return agents.length === 1 ? lines : lines.toSorted((a, b) => timeOf(a) - timeOf(b))
  })
  yield* withNode(
    where,
    Effect.fnUntraced(function* (node) {
      const known = yield* Effect.result(targets(node, agent))
      if (known._tag === "Failure") {
        const why = known.failure
        if (why._tag !== "NodeUnreachable") return yield* Effect.fail(why)
        return yield* withoutNode(why)
      }
      const agents = known.success
      // The node refuses an agent that it does not have.
      const [only] = agents
      if (only !== undefined) yield* node.ask((client) => client.explain({ params: { id: only } }))
      const wanted = (event: Published) => told(event) && agents.some((id) => speaksOf(event, { agent: id }))
      const read = Effect.fnUntraced(function* (follow: boolean) {
        // All that is kept: how many of them are this agent's is not known before.
        const events = yield* node.events({ follow, last: ALL })
        return Stream.map(events, (event) => event as unknown as Published)
      })
      const kept = yield* Stream.runCollect(yield* read(false))
      const inMemory = kept.filter(wanted)
      const more = asked.since !== undefined || (asked.last !== undefined && asked.last > inMemory.length)
      const files = more ? yield* fromFiles((yield* node.ask((client) => client.node())).dataDir, agents) : []
      const earlier = joined(files, inMemory).filter((line) => timeOf(line) >= (asked.since ?? 0))
      yield* Effect.forEach(latest(earlier, asked.last), show, { discard: true })
      if (!follow) return
      const seen = kept.at(-1)?.seq ?? 0
      yield* (yield* read(true)).pipe(
        Stream.filter((event) => event.seq > seen && wanted(event)),
        Stream.runForEach(show)
      )
      yield* err(p("dim", "the node has ended"))
    })
  )

  /** The files tell what was. */
  function withoutNode(why: NodeUnreachable) {
    return Effect.gen(function* () {
      const { agents, dataDir } = yield* agentsWithoutNode(why, agent)
      yield* err(p("dim", "no node is running: this is what its log files hold"))
      const lines = yield* fromFiles(dataDir, agents)
      yield* Effect.forEach(latest(lines, asked.last), show, { discard: true })
    })
  }
})

/** More than any node keeps. */
const ALL = 1_000_000

const latest = <A>(all: ReadonlyArray<A>, last: number | undefined): ReadonlyArray<A> =>
  last === undefined ? all : last === 0 ? [] : all.slice(-last)

const timeOf = (line: Told): number => ("at" in line ? Number(line.at) : Date.parse(line.time))

/** The files may lack what has just happened, which the node still knows. */
const joined = (files: ReadonlyArray<Told>, memory: ReadonlyArray<Published>): ReadonlyArray<Told> => {
  const key = (line: Told) => ("seq" in line ? `${line.at}/${line.seq}` : "")
  const there = new Set(files.map(key))
  const first = files.find((line) => "seq" in line)
  const missing = memory.filter((event) => !there.has(key(event)) && (first === undefined || event.at >= timeOf(first)))
  return [...files, ...missing].toSorted((a, b) => timeOf(a) - timeOf(b))
}

/** What its supervisor thought of it is told by `explain` and `events`. */
const told = ({ type }: { readonly type: string }): boolean =>
  /^(task|agent|session|api|cli)\./.test(type) || type === "limit.unenforced" || type === "events.gap"
const isTold = ({ type }: Line): boolean => typeof type === "string" && told({ type })

const inWords = (line: Told, p: Paint): string => {
  if (line.type !== "cli.stderr") return sentence(line, p)
  const { agent, text, time } = harmless(line as Line)
  return `${p("dim", new Date(time).toTimeString().slice(0, 8))} ${p("dim", `${agent} (stderr): ${text}`)}`
}
