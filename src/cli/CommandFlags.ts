/** What the commands that ask and tell a running node are called with, whichever they are. */
import { Effect, Option } from "effect"
import { Argument, Flag } from "effect/cli"
import type { FleetWhere } from "./FleetWhere.ts"

export const json = Flag.Boolean("json").pipe(
  Flag.withDescription("Print one JSON object a line on stdout; logs go to stderr"),
  Flag.withDefault(false)
)

/** Which node is meant: see Where.ts. */
export const where = {
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
export const fleet = {
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

export const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)
export const yes = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

/** The latest so many. */
export const howMany = (name: string, description: string) =>
  Flag.Int(name).pipe(
    Flag.withDescription(description),
    Flag.filter(
      (n) => n >= 0 && n <= 1_000_000,
      (n) => `Expected 0 to 1000000, found ${n}`
    )
  )

/** For a command that is for the node here, and, where that is wanted or a server is named, for its whole fleet. */
export const orFleet = (description: string) => ({
  whole: Flag.Boolean("fleet").pipe(Flag.withDescription(description), Flag.withDefault(false)),
  fleet
})
export interface OrFleet {
  readonly whole: boolean
  readonly fleet: FleetWhere
}
export const hereOrFleet =
  <Input extends OrFleet, A, E, R, A2, E2, R2>(
    here: (input: Input) => Effect.Effect<A, E, R>,
    inFleet: (input: Input) => Effect.Effect<A2, E2, R2>
  ) =>
  (input: Input): Effect.Effect<A | A2, E | E2, R | R2> =>
    input.whole || Option.isSome(input.fleet.server) ? inFleet(input) : here(input)

/** Loads what does it when it is called, and no sooner. */
export const lazily = <M, A, E, R>(load: () => Promise<M>, use: (loaded: M) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(Effect.promise(load), use)

export const agentsInput = {
  agent: Argument.String("agent").pipe(
    Argument.withDescription("Its name in `ps`, the name of its group for all replicas, or `all`")
  ),
  json,
  where
}

export const agentInput = {
  agent: Argument.String("agent").pipe(Argument.withDescription("Its name in `ps`")),
  json,
  where
}
