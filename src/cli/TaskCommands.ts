/** The grammar of the commands about tasks. What they do is in their own files, loaded when called. */
import type { Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { TASK_STATES } from "../domain/Task.ts"
import { hereOrFleet, howMany, json, lazily, orFleet, text, where, yes } from "./CommandFlags.ts"
import { labels, taskFlags } from "./TaskFlags.ts"

/** Of the node here, or of all. */
const shared = {
  ...orFleet("With the tasks that all nodes share, over the servers of --server or --config"),
  json,
  where
}

const inFleet = <A, E, R>(use: (commands: typeof import("./FleetTasks.ts")) => Effect.Effect<A, E, R>) =>
  lazily(() => import("./FleetTasks.ts"), use)

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
    ...shared
  },
  hereOrFleet(
    (input) =>
      lazily(
        () => import("./submit.ts"),
        ({ submit }) => submit(input)
      ),
    (input) => inFleet(({ submitToFleet }) => submitToFleet(input))
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
    limit: howMany("limit", "The latest so many. Default 100").pipe(Flag.withDefault(100)),
    ...shared
  },
  hereOrFleet(
    (input) =>
      lazily(
        () => import("./tasks.ts"),
        ({ tasks }) => tasks(input)
      ),
    (input) => inFleet(({ tasksOfFleet }) => tasksOfFleet(input))
  )
).pipe(Command.withDescription("List the tasks of a running node"))

const task = Command.make(
  "task",
  { id: Argument.String("id"), ...shared },
  hereOrFleet(
    (input) =>
      lazily(
        () => import("./task.ts"),
        ({ task }) => task(input)
      ),
    (input) => inFleet(({ taskOfFleet }) => taskOfFleet(input))
  )
).pipe(
  Command.withDescription("Tell the whole story of a task, or cancel, retry, replay or drop it"),
  Command.withSubcommands([
    Command.make(
      "cancel",
      {
        id: Argument.String("id"),
        why: text("why", "TEXT", "The reason that is written down with it"),
        ...shared
      },
      hereOrFleet(
        (input) =>
          lazily(
            () => import("./cancelTask.ts"),
            ({ cancelTask }) => cancelTask(input)
          ),
        (input) => inFleet(({ cancelInFleet }) => cancelInFleet(input))
      )
    ).pipe(Command.withDescription("End a task that has not ended, and the work on it")),
    Command.make("retry", { id: Argument.String("id"), json, where }, (input) =>
      lazily(
        () => import("./moveTask.ts"),
        ({ retryTask }) => retryTask(input)
      )
    ).pipe(Command.withDescription("Do a task once more that has failed, was given up or was cancelled")),
    Command.make("replay", { id: Argument.String("id"), json, where }, (input) =>
      lazily(
        () => import("./moveTask.ts"),
        ({ replayTask }) => replayTask(input)
      )
    ).pipe(Command.withDescription("Give a dead letter a new life: it goes back to the queue")),
    Command.make("drop", { id: Argument.String("id"), json, where }, (input) =>
      lazily(
        () => import("./moveTask.ts"),
        ({ dropTask }) => dropTask(input)
      )
    ).pipe(
      Command.withDescription("Keep a dead letter no longer: it counts as cancelled, and is forgotten in its turn")
    )
  ])
)

export const taskCommands = [submit, tasks, task] as const
