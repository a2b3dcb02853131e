/**
 * A program of your own that runs a fleet: give it a config, get a service, and a task's result as a value. What it needs
 * from its platform is a file system and paths. `bun test/examples/embed.ts "Say hello."`
 */
import { NodeServices } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { MisterSmith, makeConfig } from "../../src/index.ts"

const program = Effect.gen(function* () {
  const config = yield* makeConfig({
    agents: [{ id: "helper", replicas: 2 }],
    dataDir: process.env["DATA_DIR"] ?? ".mister-smith"
  })
  const result = yield* Effect.gen(function* () {
    const smith = yield* MisterSmith
    return yield* smith.perform({ prompt: process.argv[2] ?? "Say hello." })
  }).pipe(Effect.provide(MisterSmith.layer(config)))
  // Here the agents are gone again: they lived as long as the Layer.
  yield* Console.log(JSON.stringify({ status: result.status, text: result.text, costUsd: result.usage.costUsd }))
})

await Effect.runPromise(Effect.provide(program, NodeServices.layer))
