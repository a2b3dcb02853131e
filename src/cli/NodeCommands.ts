/** The grammar of the commands that ask a running node and steer it. What they do is in their own files, loaded when called. */
import { Duration, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { DurationFromString } from "../domain/Quantity.ts"
import { agentCommands } from "./AgentCommands.ts"
import { agentsInput, fleet, hereOrFleet, howMany, json, lazily, orFleet, text, where, yes } from "./CommandFlags.ts"
import { taskCommands } from "./TaskCommands.ts"

const ps = Command.make(
  "ps",
  { ...orFleet("Of the whole fleet, not of one node"), json, where },
  hereOrFleet(
    (input) =>
      lazily(
        () => import("./ps.ts"),
        ({ ps }) => ps(input)
      ),
    (input) =>
      lazily(
        () => import("./nodes.ts"),
        ({ fleetAgents }) => fleetAgents(input)
      )
  )
).pipe(Command.withDescription("Show the agents of a running node: state, task, restarts, age, last failure"))

const nodes = Command.make("nodes", { fleet, json, where }, (input) =>
  lazily(
    () => import("./nodes.ts"),
    ({ nodes }) => nodes(input)
  )
).pipe(
  Command.withDescription("List the nodes of a fleet: since when, how loaded, when they were last heard of"),
  Command.withExamples([{ command: "mister-smith nodes --server nats://host:4222", description: "Where no node runs" }])
)

const events = Command.make(
  "events",
  {
    follow: yes("follow", "Go on with what happens from now on, until the node ends").pipe(Flag.withAlias("f")),
    last: howMany("last", "The latest so many. Default: all that are kept; with --follow none").pipe(Flag.optional),
    task: text("task", "ID", "Only of this task"),
    agent: text("agent", "AGENT", "Only of this agent"),
    json,
    where
  },
  (input) =>
    lazily(
      () => import("./events.ts"),
      ({ events }) => events(input)
    )
).pipe(Command.withDescription("Tell what has happened on a running node"))

const why = Command.make(
  "explain",
  {
    name: Argument.String("name").pipe(Argument.withDescription("An agent, as `ps` names it, or the id of a task")),
    task: yes("task", "The task of this name is meant, though an agent has it too"),
    json,
    where
  },
  (input) =>
    lazily(
      () => import("./explainAgent.ts"),
      ({ explainAgent }) => explainAgent(input)
    )
).pipe(Command.withDescription("Say why an agent is as it is, or for whom or what a task waits"))

/** A time, or how long ago that was. */
const moment = (text: string): number | undefined => {
  const ago = Option.getOrUndefined(Schema.decodeOption(DurationFromString)(text))
  const at = ago === undefined ? Date.parse(text) : Date.now() - Duration.toMillis(ago)
  return Number.isNaN(at) ? undefined : at
}

const since = Flag.String("since").pipe(
  Flag.withMetavar("TIME"),
  Flag.withDescription('How far back, from the log files: "2 hours", or a time such as 2026-01-31T12:00'),
  Flag.filterMap(
    (text) => Option.fromUndefinedOr(moment(text)),
    (text) => `Expected a duration such as "2 hours" or a time, found ${JSON.stringify(text)}`
  ),
  Flag.optional
)

const logs = Command.make(
  "logs",
  {
    ...agentsInput,
    raw: yes("raw", "The lines of the CLI's own stream-json, for programs"),
    follow: yes("follow", "Go on with what it does from now on, until the node ends").pipe(Flag.withAlias("f")),
    since,
    last: howMany("last", "The latest so many of this agent. Default: all that the node has kept").pipe(
      Flag.withAlias("n"),
      Flag.optional
    )
  },
  (input) =>
    lazily(
      () => import("./logs.ts"),
      ({ logs }) => logs(input)
    )
).pipe(Command.withDescription("Tell what an agent has said and done"))

const drain = Command.make("drain", { json, where }, (input) =>
  lazily(
    () => import("./drain.ts"),
    ({ drain }) => drain(input)
  )
).pipe(Command.withDescription("End a node when what it does is done: it begins no more work, and ends with 0"))

const reload = Command.make(
  "reload",
  {
    plan: yes("plan", "Only show what would change"),
    now: yes("now", "Stop busy agents that change; they go on with their tasks afterwards. Default: they finish first"),
    json,
    where
  },
  (input) =>
    lazily(
      () => import("./reload.ts"),
      ({ reload }) => reload(input)
    )
).pipe(Command.withDescription("Have a node read its config again, and change what differs, one agent at a time"))

export const nodeCommands = [...taskCommands, ps, nodes, events, ...agentCommands, why, logs, drain, reload] as const
