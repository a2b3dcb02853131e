/**
 * A runtime to be killed: trees as a node has them, and nothing else. `runner.ts cgroup|noCgroup COUNT FIFO`. Every process
 * of every tree holds the FIFO for reading. Prints the guardian's pid when all are up.
 */
import { Effect } from "effect"
import { ProcessHost } from "../../../src/process/ProcessHost.ts"
import { ProcessTree } from "../../../src/process/ProcessTree.ts"
import { firstByte, layer, specOf } from "./Machine.ts"

const [way, count, fifo] = process.argv.slice(2)

const main = Effect.gen(function* () {
  const tree = yield* ProcessTree
  const { guardian } = yield* ProcessHost
  const script = 'exec 3<>"$0"; sleep 60 & setsid sleep 60 & echo; wait'
  const spawn = tree.spawn(specOf(["/bin/sh", "-c", script, fifo ?? ""]))
  yield* Effect.forEach(Array.from({ length: Number(count) }), () => Effect.tap(spawn, firstByte))
  // What was said to the guardian leaves this process when the event loop turns.
  yield* Effect.sleep("20 millis")
  console.log(String(guardian?.pid() ?? 0))
  return yield* Effect.never
}).pipe(Effect.scoped, Effect.provide(layer(way === "cgroup" ? "cgroup" : "noCgroup")))

await Effect.runPromise(main)
