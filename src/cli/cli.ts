/**
 * The command tree. A command's own file is loaded when it is called, so that a command costs only what it uses.
 * How it ends is ExitCode.ts.
 */
import { Cause, Console, Effect, Layer, Option } from "effect"
import { Argument, CliError, Command, Flag } from "effect/cli"
import { SocketHttp } from "../admin/SocketHttp.ts"
import { VERSION } from "../domain/Version.ts"
import * as Completions from "./Completions.ts"
import { EXIT, explain } from "./ExitCode.ts"
import { json, nodeCommands } from "./NodeCommands.ts"

const config = Argument.String("config").pipe(
  Argument.withDescription("The config file"),
  Argument.withDefault("mister-smith.json")
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

const version = Command.make("version", {}, () => Console.log(VERSION)).pipe(
  Command.withDescription("Print the version")
)

const root = Command.make("mister-smith").pipe(
  Command.withDescription("Keeps a fleet of Claude CLI agents working"),
  Command.withSubcommands([run, check, doctor, schema, ...nodeCommands, version])
)

type Http = Parameters<typeof SocketHttp.layer>[0]

/** Runs a command line and answers with the exit code. Fails only by being interrupted. */
export const main = (
  args: ReadonlyArray<string>,
  platform: Layer.Layer<Command.Environment>,
  http: Http
): Effect.Effect<number> =>
  args[0] === "__complete" ? Effect.as(completing(args.slice(1), http), EXIT.done) : commanding(args, platform, http)

/** Its words are a command line too, and not one of this program's. */
const completing = (words: ReadonlyArray<string>, http: Http) =>
  Effect.flatMap(
    Effect.promise(() => import("./complete.ts")),
    ({ complete }) => complete(words)
  ).pipe(Effect.provide(SocketHttp.layer(http)))

const commanding = (
  args: ReadonlyArray<string>,
  platform: Layer.Layer<Command.Environment>,
  http: Http
): Effect.Effect<number> =>
  Command.runWith(root, { version: VERSION })(args).pipe(
    Effect.as(EXIT.done),
    Effect.catchCause((cause) => {
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      if (!CliError.isCliError(error)) return explain(cause)
      // The command line has printed its own mistakes and help already.
      return Effect.succeed(error._tag === "ShowHelp" && error.errors.length === 0 ? EXIT.done : EXIT.usage)
    }),
    Effect.provide(Layer.mergeAll(platform, SocketHttp.layer(http), Completions.layer))
  )
