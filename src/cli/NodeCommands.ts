/** The grammar of the commands that ask and tell a running node. What they do is in their own files, loaded when called. */
import { Duration, Effect, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { DurationFromString } from "../domain/Quantity.ts"
import { TASK_STATES } from "../domain/Task.ts"
import type { AgentCommand } from "../message/Command.ts"
import type { FleetWhere } from "./FleetWhere.ts"
import { labels, taskFlags } from "./TaskFlags.ts"
import type { AgentInput } from "./Where.ts"

export const json = Flag.Boolean("json").pipe(
  Flag.withDescription("Print one JSON object a line on stdout; logs go to stderr"),
  Flag.withDefault(false)
)

/** Which node is meant: see Where.ts. */
const where = {
  dataDir: Flag.String("data-dir").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("The data directory of the node. Default: MISTER_SMITH_SOCKET, or ./.mister-smith"),
    Flag.optional
  ),
  config: Flag.String("config").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("The config file the node was started with"),
    Flag.optional
  )
}

/** Which fleet is meant: see FleetWhere.ts. */
const fleet = {
  server: Flag.String("server").pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription("A NATS server of the fleet, which is asked directly"),
    Flag.optional
  ),
  prefix: Flag.String("prefix").pipe(
    Flag.withMetavar("WORDS"),
    Flag.withDescription("With --server: the transport.prefix of the fleet"),
    Flag.optional
  )
}

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)
const yes = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

/** What has to do with the tasks of a fleet, over its servers. */
const toFleet = Flag.Boolean("fleet").pipe(
  Flag.withDescription("With the tasks that all nodes share, over the servers of --server or --config"),
  Flag.withDefault(false)
)
/** Who names a server means its fleet. */
const isForFleet = ({ fleet, whole }: { readonly whole: boolean; readonly fleet: FleetWhere }) =>
  whole || Option.isSome(fleet.server)
const inFleet = <A, E, R>(use: (commands: typeof import("./FleetTasks.ts")) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Effect.promise(() => import("./FleetTasks.ts")),
    use
  )

const submit = Command.make(
  "submit",
  {
    prompt: Argument.String("prompt").pipe(
      Argument.withDescription("What the agent is told; standard input where there is none, or -"),
      Argument.optional
    ),
    file: text("file", "FILE", "Read the prompt from a file; - is standard input"),
    task: text("task", "FILE", "A whole task as JSON, as the config has it; what is said beside it goes before it"),
    ...taskFlags,
    wait: yes("wait", "Print the answer when it is there: 0 when the task succeeded, 1 when it failed"),
    follow: yes("follow", "The same, and tell on the way what is being done"),
    whole: toFleet,
    fleet,
    json,
    where
  },
  (input) =>
    isForFleet(input)
      ? inFleet(({ submitToFleet }) => submitToFleet(input))
      : Effect.flatMap(
          Effect.promise(() => import("./submit.ts")),
          ({ submit }) => submit(input)
        )
).pipe(
  Command.withDescription("Give a running node a task"),
  Command.withExamples([
    { command: 'mister-smith submit "Fix the login." --wait', description: "Wait for the answer" },
    { command: "git diff | mister-smith submit --type review --follow", description: "Watch it being done" }
  ])
)

const tasks = Command.make(
  "tasks",
  {
    state: Flag.Literals("state", TASK_STATES).pipe(Flag.withDescription("Only those in this state"), Flag.optional),
    type: text("type", "TYPE", "Only those of this type"),
    agent: text("agent", "AGENT", "Only those that this agent performs, or did last"),
    node: text("node", "NODE", "Of a fleet: only those that this node performs, or did last"),
    label: labels("Only those with this label. May be repeated: with all of them"),
    limit: Flag.Int("limit").pipe(
      Flag.withDescription("The latest so many. Default 100"),
      Flag.filter(
        (n) => n >= 0 && n <= 1_000_000,
        (n) => `Expected 0 to 1000000, found ${n}`
      ),
      Flag.withDefault(100)
    ),
    whole: toFleet,
    fleet,
    json,
    where
  },
  (input) =>
    isForFleet(input)
      ? inFleet(({ tasksOfFleet }) => tasksOfFleet(input))
      : Effect.flatMap(
          Effect.promise(() => import("./tasks.ts")),
          ({ tasks }) => tasks(input)
        )
).pipe(Command.withDescription("List the tasks of a running node"))

const task = Command.make("task", { id: Argument.String("id"), whole: toFleet, fleet, json, where }, (input) =>
  isForFleet(input)
    ? inFleet(({ taskOfFleet }) => taskOfFleet(input))
    : Effect.flatMap(
        Effect.promise(() => import("./task.ts")),
        ({ task }) => task(input)
      )
).pipe(
  Command.withDescription("Tell the whole story of a task, or cancel, retry, replay or drop it"),
  Command.withSubcommands([
    Command.make(
      "cancel",
      {
        id: Argument.String("id"),
        why: text("why", "TEXT", "The reason that is written down with it"),
        whole: toFleet,
        fleet,
        json,
        where
      },
      (input) =>
        isForFleet(input)
          ? inFleet(({ cancelInFleet }) => cancelInFleet(input))
          : Effect.flatMap(
              Effect.promise(() => import("./cancelTask.ts")),
              ({ cancelTask }) => cancelTask(input)
            )
    ).pipe(Command.withDescription("End a task that has not ended, and the work on it")),
    Command.make("retry", { id: Argument.String("id"), json, where }, (input) =>
      Effect.flatMap(
        Effect.promise(() => import("./moveTask.ts")),
        ({ retryTask }) => retryTask(input)
      )
    ).pipe(Command.withDescription("Do a task once more that has failed, was given up or was cancelled")),
    Command.make("replay", { id: Argument.String("id"), json, where }, (input) =>
      Effect.flatMap(
        Effect.promise(() => import("./moveTask.ts")),
        ({ replayTask }) => replayTask(input)
      )
    ).pipe(Command.withDescription("Give a dead letter a new life: it goes back to the queue")),
    Command.make("drop", { id: Argument.String("id"), json, where }, (input) =>
      Effect.flatMap(
        Effect.promise(() => import("./moveTask.ts")),
        ({ dropTask }) => dropTask(input)
      )
    ).pipe(
      Command.withDescription("Keep a dead letter no longer: it counts as cancelled, and is forgotten in its turn")
    )
  ])
)

const wholeFleet = Flag.Boolean("fleet").pipe(
  Flag.withDescription("Of the whole fleet, not of one node"),
  Flag.withDefault(false)
)

const ps = Command.make("ps", { whole: wholeFleet, fleet, json, where }, (input) =>
  input.whole || Option.isSome(input.fleet.server)
    ? Effect.flatMap(
        Effect.promise(() => import("./nodes.ts")),
        ({ fleetAgents }) => fleetAgents(input)
      )
    : Effect.flatMap(
        Effect.promise(() => import("./ps.ts")),
        ({ ps }) => ps(input)
      )
).pipe(Command.withDescription("Show the agents of a running node: state, task, restarts, age, last failure"))

const nodes = Command.make("nodes", { fleet, json, where }, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./nodes.ts")),
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
    last: Flag.Int("last").pipe(
      Flag.withDescription("The latest so many. Default: all that are kept; with --follow none"),
      Flag.filter(
        (n) => n >= 0 && n <= 1_000_000,
        (n) => `Expected 0 to 1000000, found ${n}`
      ),
      Flag.optional
    ),
    task: text("task", "ID", "Only of this task"),
    agent: text("agent", "AGENT", "Only of this agent"),
    json,
    where
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./events.ts")),
      ({ events }) => events(input)
    )
).pipe(Command.withDescription("Tell what has happened on a running node"))

const agentsInput = {
  agent: Argument.String("agent").pipe(
    Argument.withDescription("Its name in `ps`, the name of its group for all replicas, or `all`")
  ),
  json,
  where
}

const agentInput = { agent: Argument.String("agent").pipe(Argument.withDescription("Its name in `ps`")), json, where }

/** To an agent of any node, where that is wanted. */
const tellable = {
  ...agentsInput,
  whole: Flag.Boolean("fleet").pipe(
    Flag.withDescription("An agent of any node, by its id, over the servers of --server or --config"),
    Flag.withDefault(false)
  ),
  fleet
}
type Told = AgentInput & { readonly whole: boolean; readonly fleet: FleetWhere }
const tellFleet = (input: Told, body: AgentCommand) =>
  Effect.flatMap(
    Effect.promise(() => import("./tellFleet.ts")),
    ({ tellFleet }) => tellFleet(input, input.fleet, body)
  )

const stop = Command.make("stop", tellable, (input) =>
  isForFleet(input)
    ? tellFleet(input, { command: "stop" })
    : Effect.flatMap(
        Effect.promise(() => import("./stopAgent.ts")),
        ({ stopAgent }) => stopAgent(input)
      )
).pipe(Command.withDescription("Stop an agent for good: it stays down in the next run too, until it is started"))

const start = Command.make("start", agentsInput, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./startAgent.ts")),
    ({ startAgent }) => startAgent(input)
  )
).pipe(Command.withDescription("Start an agent that is down, whatever it went down for"))

const restart = Command.make("restart", tellable, (input) =>
  isForFleet(input)
    ? tellFleet(input, { command: "restart" })
    : Effect.flatMap(
        Effect.promise(() => import("./restartAgent.ts")),
        ({ restartAgent }) => restartAgent(input)
      )
).pipe(Command.withDescription("Stop an agent and start it again; its work goes on"))

const pause = Command.make("pause", tellable, (input) =>
  isForFleet(input)
    ? tellFleet(input, { command: "pause" })
    : Effect.flatMap(
        Effect.promise(() => import("./pauseAgent.ts")),
        ({ pauseAgent }) => pauseAgent(input)
      )
).pipe(Command.withDescription("Bring an agent to a halt in the middle of what it does"))

const resume = Command.make("resume", tellable, (input) =>
  isForFleet(input)
    ? tellFleet(input, { command: "resume" })
    : Effect.flatMap(
        Effect.promise(() => import("./pauseAgent.ts")),
        ({ resumeAgent }) => resumeAgent(input)
      )
).pipe(Command.withDescription("Let a paused agent go on"))

const interrupt = Command.make("interrupt", tellable, (input) =>
  isForFleet(input)
    ? tellFleet(input, { command: "interrupt" })
    : Effect.flatMap(
        Effect.promise(() => import("./instructAgent.ts")),
        ({ interruptAgent }) => interruptAgent(input)
      )
).pipe(
  Command.withDescription("Break off what an agent does; its task goes on after a pause, in the same conversation")
)

const model = Command.make(
  "model",
  {
    ...tellable,
    model: Argument.String("model").pipe(
      Argument.withDescription("Its name. Whether there is such a model shows in the next turn")
    )
  },
  (input) =>
    isForFleet(input)
      ? tellFleet(input, { command: "set_model", model: input.model })
      : Effect.flatMap(
          Effect.promise(() => import("./instructAgent.ts")),
          ({ setModel }) => setModel(input)
        )
).pipe(Command.withDescription("Give an agent another model, until its next life"))

const tell = Command.make(
  "tell",
  {
    ...tellable,
    message: Argument.String("message").pipe(Argument.withDescription("What it is told"))
  },
  (input) =>
    isForFleet(input)
      ? tellFleet(input, { command: "send_message", text: input.message })
      : Effect.flatMap(
          Effect.promise(() => import("./instructAgent.ts")),
          ({ tellAgent }) => tellAgent(input)
        )
).pipe(
  Command.withDescription("Tell an agent something: in the turn that it is in, or with its next one"),
  Command.withExamples([
    { command: 'mister-smith tell worker "The build is green again."', description: "While it works" }
  ])
)

const limit = Command.make(
  "limit",
  {
    ...agentInput,
    memory: text("memory", "SIZE", 'Memory of all its processes together, such as "2 GiB"'),
    memoryHigh: text("memory-high", "SIZE", "Memory above which it is slowed down"),
    cpus: Flag.Finite("cpus").pipe(Flag.withDescription("Cores, such as 1.5"), Flag.optional),
    processes: Flag.Int("processes").pipe(Flag.withDescription("Processes and threads together"), Flag.optional),
    ioWeight: Flag.Int("io-weight").pipe(
      Flag.withDescription("Its share of the disk against others' 100"),
      Flag.optional
    ),
    required: yes("required", "Refuse where the machine cannot enforce one of these")
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./limitAgent.ts")),
      ({ limitAgent }) => limitAgent(input)
    )
).pipe(Command.withDescription("Change what a running agent may use, until its next life"))

const why = Command.make(
  "explain",
  {
    name: Argument.String("name").pipe(Argument.withDescription("An agent, as `ps` names it, or the id of a task")),
    task: yes("task", "The task of this name is meant, though an agent has it too"),
    json,
    where
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./explainAgent.ts")),
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
    last: Flag.Int("last").pipe(
      Flag.withAlias("n"),
      Flag.withDescription("The latest so many of this agent. Default: all that the node has kept"),
      Flag.filter(
        (n) => n >= 0 && n <= 1_000_000,
        (n) => `Expected 0 to 1000000, found ${n}`
      ),
      Flag.optional
    )
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./logs.ts")),
      ({ logs }) => logs(input)
    )
).pipe(Command.withDescription("Tell what an agent has said and done"))

const drain = Command.make("drain", { json, where }, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./drain.ts")),
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
    Effect.flatMap(
      Effect.promise(() => import("./reload.ts")),
      ({ reload }) => reload(input)
    )
).pipe(Command.withDescription("Have a node read its config again, and change what differs, one agent at a time"))

export const nodeCommands = [
  submit,
  tasks,
  task,
  ps,
  nodes,
  events,
  stop,
  start,
  restart,
  pause,
  resume,
  interrupt,
  tell,
  model,
  limit,
  why,
  logs,
  drain,
  reload
] as const
