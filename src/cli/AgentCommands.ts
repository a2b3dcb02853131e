/** The grammar of the commands that tell agents something. What they do is in their own files, loaded when called. */
import type { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { AgentCommand } from "../message/Command.ts"
import { agentInput, agentsInput, hereOrFleet, lazily, type OrFleet, orFleet, text, yes } from "./CommandFlags.ts"
import type { AgentInput } from "./Where.ts"

/** To an agent of any node, where that is wanted. */
const tellable = {
  ...agentsInput,
  ...orFleet("An agent of any node, by its id, over the servers of --server or --config")
}
type Told = AgentInput & OrFleet
const tellFleet = (input: Told, body: AgentCommand) =>
  lazily(
    () => import("./tellFleet.ts"),
    ({ tellFleet }) => tellFleet(input, input.fleet, body)
  )

/** One that needs no more than an agent, and is called the same in a message. */
const telling = <E, R>(
  command: "stop" | "restart" | "pause" | "resume" | "interrupt",
  description: string,
  here: (input: Told) => Effect.Effect<void, E, R>
) =>
  Command.make(
    command,
    tellable,
    hereOrFleet(here, (input) => tellFleet(input, { command }))
  ).pipe(Command.withDescription(description))

const stop = telling(
  "stop",
  "Stop an agent for good: it stays down in the next run too, until it is started",
  (input) =>
    lazily(
      () => import("./stopAgent.ts"),
      ({ stopAgent }) => stopAgent(input)
    )
)

const start = Command.make("start", agentsInput, (input) =>
  lazily(
    () => import("./startAgent.ts"),
    ({ startAgent }) => startAgent(input)
  )
).pipe(Command.withDescription("Start an agent that is down, whatever it went down for"))

const restart = telling("restart", "Stop an agent and start it again; its work goes on", (input) =>
  lazily(
    () => import("./restartAgent.ts"),
    ({ restartAgent }) => restartAgent(input)
  )
)

const pause = telling("pause", "Bring an agent to a halt in the middle of what it does", (input) =>
  lazily(
    () => import("./pauseAgent.ts"),
    ({ pauseAgent }) => pauseAgent(input)
  )
)

const resume = telling("resume", "Let a paused agent go on", (input) =>
  lazily(
    () => import("./pauseAgent.ts"),
    ({ resumeAgent }) => resumeAgent(input)
  )
)

const interrupt = telling(
  "interrupt",
  "Break off what an agent does; its task goes on after a pause, in the same conversation",
  (input) =>
    lazily(
      () => import("./instructAgent.ts"),
      ({ interruptAgent }) => interruptAgent(input)
    )
)

const model = Command.make(
  "model",
  {
    ...tellable,
    model: Argument.String("model").pipe(
      Argument.withDescription("Its name. Whether there is such a model shows in the next turn")
    )
  },
  hereOrFleet(
    (input) =>
      lazily(
        () => import("./instructAgent.ts"),
        ({ setModel }) => setModel(input)
      ),
    (input) => tellFleet(input, { command: "set_model", model: input.model })
  )
).pipe(Command.withDescription("Give an agent another model, until its next life"))

const tell = Command.make(
  "tell",
  {
    ...tellable,
    message: Argument.String("message").pipe(Argument.withDescription("What it is told"))
  },
  hereOrFleet(
    (input) =>
      lazily(
        () => import("./instructAgent.ts"),
        ({ tellAgent }) => tellAgent(input)
      ),
    (input) => tellFleet(input, { command: "send_message", text: input.message })
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
    lazily(
      () => import("./limitAgent.ts"),
      ({ limitAgent }) => limitAgent(input)
    )
).pipe(Command.withDescription("Change what a running agent may use, until its next life"))

export const agentCommands = [stop, start, restart, pause, resume, interrupt, tell, model, limit] as const
