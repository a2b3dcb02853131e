/**
 * The command tree. A command's own file is loaded when it is called, so that a command costs only what it uses.
 * How it ends is ExitCode.ts.
 */
import { Cause, Console, Effect, Layer, Option } from "effect"
import { Argument, CliError, Command, Flag } from "effect/cli"
import { SocketHttp } from "../admin/SocketHttp.ts"
import type { TaskState } from "../domain/Task.ts"
import { VERSION } from "../domain/Version.ts"
import { EXIT, explain } from "./ExitCode.ts"

const config = Argument.String("config").pipe(
  Argument.withDescription("The config file"),
  Argument.withDefault("mister-smith.json")
)
const json = Flag.Boolean("json").pipe(
  Flag.withDescription("Print one JSON object a line on stdout; logs go to stderr"),
  Flag.withDefault(false)
)

const run = Command.make(
  "run",
  {
    config,
    json,
    once: Flag.Boolean("once").pipe(
      Flag.withDescription("End when the tasks of the config are finished: 0 when all succeeded, 1 when one failed"),
      Flag.withDefault(false)
    )
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./run.ts")),
      ({ run }) => run(input)
    )
).pipe(
  Command.withDescription("Start the agents, perform the tasks of the config, and go on serving"),
  Command.withExamples([
    { command: "mister-smith run fleet.json", description: "Run until it is stopped" },
    { command: "mister-smith run fleet.json --once --json", description: "Run the tasks, print their results, exit" }
  ])
)

const check = Command.make("check", { config, json }, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./check.ts")),
    ({ check }) => check(input)
  )
).pipe(Command.withDescription("Say what is wrong with a config: every mistake with its place"))

const doctor = Command.make(
  "doctor",
  {
    config: Argument.String("config").pipe(
      Argument.withDescription("The config file. Default: mister-smith.json, where it is there"),
      Argument.optional
    ),
    json
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./doctor.ts")),
      ({ doctor }) => doctor(input)
    )
).pipe(Command.withDescription("Tell what this machine offers, and what is wrong: 0 when nothing is a problem, else 1"))

const schema = Command.make("schema", {}, () =>
  Effect.flatMap(
    Effect.promise(() => import("./schema.ts")),
    ({ schema }) => schema
  )
).pipe(Command.withDescription("Print the JSON Schema of the config, for editors"))

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

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)
const yes = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

const submit = Command.make(
  "submit",
  {
    prompt: Argument.String("prompt").pipe(
      Argument.withDescription("What the agent is told; standard input where there is none, or -"),
      Argument.optional
    ),
    file: text("file", "FILE", "Read the prompt from a file; - is standard input"),
    id: text("id", "ID", "Its name. The same id with the same content is not done twice"),
    type: text("type", "TYPE", "Its type, by which agents take it"),
    agent: text("agent", "AGENT", "The agent that must do it"),
    schema: text("schema", "FILE", "A JSON Schema for the answer"),
    wait: yes("wait", "Print the answer when it is there: 0 when the task succeeded, 1 when it failed"),
    follow: yes("follow", "The same, and tell on the way what is being done"),
    json,
    where
  },
  (input) =>
    Effect.flatMap(
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

const states: ReadonlyArray<TaskState> = [
  "queued",
  "running",
  "parked",
  "waiting",
  "succeeded",
  "failed",
  "cancelled",
  "dead"
]

const tasks = Command.make(
  "tasks",
  {
    state: Flag.Literals("state", states).pipe(Flag.withDescription("Only those in this state"), Flag.optional),
    limit: Flag.Int("limit").pipe(
      Flag.withDescription("The latest so many. Default 100"),
      Flag.filter(
        (n) => n >= 0 && n <= 1_000_000,
        (n) => `expected 0 to 1000000, found ${n}`
      ),
      Flag.withDefault(100)
    ),
    json,
    where
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./tasks.ts")),
      ({ tasks }) => tasks(input)
    )
).pipe(Command.withDescription("List the tasks of a running node"))

const task = Command.make("task", { id: Argument.String("id"), json, where }, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./task.ts")),
    ({ task }) => task(input)
  )
).pipe(Command.withDescription("Tell the whole story of a task"))

const ps = Command.make("ps", { json, where }, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./ps.ts")),
    ({ ps }) => ps(input)
  )
).pipe(Command.withDescription("Show the agents of a running node: state, task, restarts, age, last failure"))

const events = Command.make(
  "events",
  {
    follow: yes("follow", "Go on with what happens from now on, until the node ends").pipe(Flag.withAlias("f")),
    last: Flag.Int("last").pipe(
      Flag.withDescription("The latest so many. Default: all that are kept; with --follow none"),
      Flag.filter(
        (n) => n >= 0 && n <= 1_000_000,
        (n) => `expected 0 to 1000000, found ${n}`
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

const agentInput = { agent: Argument.String("agent").pipe(Argument.withDescription("Its name in `ps`")), json, where }

const stop = Command.make("stop", agentInput, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./stopAgent.ts")),
    ({ stopAgent }) => stopAgent(input)
  )
).pipe(Command.withDescription("Stop an agent for good: it stays down in the next run too, until it is started"))

const start = Command.make("start", agentInput, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./startAgent.ts")),
    ({ startAgent }) => startAgent(input)
  )
).pipe(Command.withDescription("Start an agent that is down, whatever it went down for"))

const pause = Command.make("pause", agentInput, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./pauseAgent.ts")),
    ({ pauseAgent }) => pauseAgent(input)
  )
).pipe(Command.withDescription("Bring an agent to a halt in the middle of what it does"))

const resume = Command.make("resume", agentInput, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./pauseAgent.ts")),
    ({ resumeAgent }) => resumeAgent(input)
  )
).pipe(Command.withDescription("Let a paused agent go on"))

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

const why = Command.make("explain", agentInput, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./explainAgent.ts")),
    ({ explainAgent }) => explainAgent(input)
  )
).pipe(Command.withDescription("Say why an agent is as it is"))

const version = Command.make("version", {}, () => Console.log(VERSION)).pipe(
  Command.withDescription("Print the version")
)

const root = Command.make("mister-smith").pipe(
  Command.withDescription("Keeps a fleet of Claude CLI agents working"),
  Command.withSubcommands([
    run,
    check,
    doctor,
    schema,
    submit,
    tasks,
    task,
    ps,
    events,
    stop,
    start,
    pause,
    resume,
    limit,
    why,
    version
  ])
)

/** Runs a command line and answers with the exit code. Fails only by being interrupted. */
export const main = (
  args: ReadonlyArray<string>,
  platform: Layer.Layer<Command.Environment>,
  http: Parameters<typeof SocketHttp.layer>[0]
): Effect.Effect<number> =>
  Command.runWith(root, { version: VERSION })(args).pipe(
    Effect.as(EXIT.done),
    Effect.catchCause((cause) => {
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      if (!CliError.isCliError(error)) return explain(cause)
      // The command line has printed its own mistakes and help already.
      return Effect.succeed(error._tag === "ShowHelp" && error.errors.length === 0 ? EXIT.done : EXIT.usage)
    }),
    Effect.provide(Layer.merge(platform, SocketHttp.layer(http)))
  )
