/**
 * The command tree. A command's own file is loaded when it is called, so that a command costs only what it uses.
 * How it ends is ExitCode.ts.
 */
import { Cause, Console, Effect, Layer, Option } from "effect"
import { Argument, CliError, Command, Flag } from "effect/cli"
import { SocketHttp } from "../admin/SocketHttp.ts"
import { CREDENTIALS } from "../config/Starter.ts"
import { VERSION } from "../domain/Version.ts"
import { json } from "./CommandFlags.ts"
import * as Completions from "./Completions.ts"
import { EXIT, explain } from "./ExitCode.ts"
import { nodeCommands } from "./NodeCommands.ts"
import { USUAL_CONFIG } from "./UsualConfig.ts"

const config = Argument.String("config").pipe(
  Argument.withDescription("The config file"),
  Argument.withDefault(USUAL_CONFIG)
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

const answer = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)

const init = Command.make(
  "init",
  {
    config,
    json,
    yes: Flag.Boolean("yes").pipe(
      Flag.withAlias("y"),
      Flag.withDescription("Ask nothing: the flags, and else the defaults"),
      Flag.withDefault(false)
    ),
    force: Flag.Boolean("force").pipe(Flag.withDescription("Overwrite what is there"), Flag.withDefault(false)),
    name: answer("name", "NAME", "What the node is called. Default: the name of the directory"),
    agent: answer("agent", "NAME", "What its agents are called. Default worker"),
    agents: Flag.Int("agents").pipe(Flag.withDescription("How many of them. Default 1"), Flag.optional),
    workspace: answer("workspace", "DIR", "Where they work, relative to the config. Default own: each by itself"),
    model: answer("model", "MODEL", "Their model. Default: the CLI's own"),
    credential: answer("credential", "WHERE", "none, env:NAME or file:PATH. Default none: the CLI is logged in"),
    credentialAs: Flag.Literals("credential-as", CREDENTIALS).pipe(
      Flag.withDescription("The variable by which a CLI is given it. Default ANTHROPIC_API_KEY"),
      Flag.optional
    ),
    permissionMode: answer("permission-mode", "MODE", "Claude's permission mode. Default default, the careful one")
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./init.ts")),
      ({ init }) => init(input)
    )
).pipe(
  Command.withDescription("Write a first config: asks a few questions, or takes the answers as flags"),
  Command.withExamples([
    { command: "mister-smith init", description: "Ask, and write mister-smith.json" },
    { command: "mister-smith init fleet.json --yes --agents 3", description: "Ask nothing" }
  ])
)

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

const schema = Command.make(
  "schema",
  {
    of: Argument.Literals("of", ["config", "messages"]).pipe(
      Argument.withDescription("config: the config, for editors. messages: what travels between nodes and programs"),
      Argument.withDefault("config" as const)
    )
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./schema.ts")),
      ({ schema }) => schema(input)
    )
).pipe(Command.withDescription("Print the JSON Schema of the config, or of the messages"))

const version = Command.make("version", {}, () => Console.log(VERSION)).pipe(
  Command.withDescription("Print the version")
)

const root = Command.make("mister-smith").pipe(
  Command.withDescription("Keeps a fleet of Claude CLI agents working"),
  Command.withSubcommands([init, run, check, doctor, schema, ...nodeCommands, version])
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
