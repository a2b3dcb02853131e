/**
 * `logs AGENT --raw`: the lines of the CLI's own stream, for programs. They come from the log files, with or without a
 * node that runs; with `--follow` the files are read on until the node ends.
 */
import { dirname } from "node:path"
import { type Duration, Effect, Fiber, Option, Ref, Stream } from "effect"
import type { NodeUnreachable } from "../admin/AdminError.ts"
import { AgentUnknown } from "../agent/AgentError.ts"
import * as LogReader from "../observability/LogReader.ts"
import { type StreamLine, StreamReader } from "../observability/StreamReader.ts"
import type { LogsInput } from "./logs.ts"
import { err, out, painter } from "./Printing.ts"
import { targets } from "./Targets.ts"
import { withNode } from "./Where.ts"

/** How often the files are looked at for more. A node writes them about as often. */
const LOOK_EVERY: Duration.Input = "200 millis"
/** What a node has said at its end is written a little after it has stopped to answer. */
const LAST_LINES: Duration.Input = "1 second"

type RawInput = Pick<LogsInput, "agent" | "follow" | "last" | "since" | "where">

export const rawLogs = Effect.fn("cli.rawLogs")(function* ({ agent, follow, last, since, where }: RawInput) {
  const p = yield* painter
  const from = Option.getOrElse(since, () => 0)
  const most = Option.getOrUndefined(last)

  const tell = Effect.fnUntraced(function* (dataDir: string, agents: ReadonlyArray<string>) {
    const readers = yield* Effect.acquireRelease(
      Effect.sync(() => agents.map((id) => new StreamReader(dataDir, id, from))),
      (readers) => Effect.promise(() => Promise.all(readers.map((reader) => reader.close())))
    )
    const lines = (reader: StreamReader) =>
      Stream.fromAsyncIterable(reader.look(), (error) => error).pipe(
        Stream.orDie,
        Stream.filter(({ at }) => at >= from)
      )
    const print = ({ text }: StreamLine) => out(text)
    const [only] = readers
    const told = yield* Ref.make(false)
    if (only !== undefined && readers.length === 1 && most === undefined) {
      yield* Stream.runForEach(lines(only), (line) => Effect.andThen(Ref.set(told, true), print(line)))
    } else {
      const kept: Array<StreamLine> = []
      for (const reader of readers) kept.push(...(yield* latest(lines(reader), most)))
      kept.sort((a, b) => a.at - b.at)
      yield* Ref.set(told, kept.length > 0 || most === 0)
      yield* Effect.forEach(most === undefined ? kept : most === 0 ? [] : kept.slice(-most), print, { discard: true })
    }
    if (!(yield* Ref.get(told))) {
      const time = (Option.isSome(since) ? " since then" : "") + (follow ? " so far" : "")
      yield* err(
        p("yellow", `nothing is kept of the stream of ${agents.join(", ")}${time}`) +
          "\nhint: a node keeps it while logs.file and logs.stream of its config are true, as they are by default"
      )
    }
    return Effect.forEach(readers, (reader) => Stream.runForEach(lines(reader), print), { discard: true })
  })

  yield* withNode(
    where,
    Effect.fnUntraced(function* (node) {
      const known = yield* Effect.result(targets(node, agent))
      if (known._tag === "Failure") {
        const why = known.failure
        if (why._tag !== "NodeUnreachable") return yield* Effect.fail(why)
        const { agents, dataDir } = yield* agentsWithoutNode(why, agent)
        yield* err(p("dim", "no node is running: this is what its log files hold"))
        return yield* tell(dataDir, agents)
      }
      const agents = known.success
      // The node refuses an agent that it does not have.
      const [only] = agents
      if (only !== undefined) yield* node.ask((client) => client.explain({ params: { id: only } }))
      const { dataDir } = yield* node.ask((client) => client.node())
      // Heard of before the files are read, so that its end is not missed.
      const ended = yield* follow
        ? Effect.forkScoped(Effect.exit(Effect.flatMap(node.events({ follow: true, last: 0 }), Stream.runDrain)))
        : Effect.undefined
      const more = yield* tell(dataDir, agents)
      if (ended === undefined) return
      // A look is never broken off by the end of the node: what was read of a file and not printed would be lost.
      while (Option.isNone(yield* Effect.timeoutOption(Fiber.await(ended), LOOK_EVERY))) yield* more
      yield* Effect.sleep(LAST_LINES)
      yield* more
      yield* err(p("dim", "the node has ended"))
    }, Effect.scoped)
  )
})

/** Of any number of lines only so many are held. */
const latest = Effect.fnUntraced(function* <E>(lines: Stream.Stream<StreamLine, E>, most: number | undefined) {
  let kept: Array<StreamLine> = []
  yield* Stream.runForEach(lines, (line) =>
    Effect.sync(() => {
      kept.push(line)
      if (most !== undefined && kept.length > 2 * most + 1) kept = most === 0 ? [] : kept.slice(-most)
    })
  )
  return most === undefined ? kept : most === 0 ? [] : kept.slice(-most)
})

/** Whom the files tell of; who is nobody in them either is told that there is no node. */
export const agentsWithoutNode = Effect.fnUntraced(function* (why: NodeUnreachable, agent: string) {
  const dataDir = dirname(why.socket)
  const all = yield* Effect.promise(() => LogReader.agentsIn(dataDir))
  if (all.length === 0) return yield* why
  const group = all.filter((id) => id.startsWith(`${agent}-`) && /^\d+$/.test(id.slice(agent.length + 1)))
  const agents = all.includes(agent) ? [agent] : group.length > 0 ? group : agent === "all" ? all : []
  if (agents.length === 0) return yield* new AgentUnknown({ agent, known: all })
  return { dataDir, agents }
})
