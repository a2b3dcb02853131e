/** What a node at the edge makes of the queue of its fleet while it is cut off. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as EdgeHere from "../../src/task/EdgeHere.ts"
import type { Handing, Slot } from "../../src/task/Handing.ts"
import { record } from "../utils/Snapshots.ts"

describe("a node at the edge", () => {
  it("begins nothing that the queue has handed to it while it is cut off, and wants nothing of it", () => {
    const wanted: Array<ReadonlyArray<Slot>> = []
    const handing: Handing = {
      handed: () => ["t"],
      tried: () => {},
      leftFor: () => 1_000,
      want: (slots) => void wanted.push(slots)
    }
    let there = false
    const here = EdgeHere.make({
      node: "edge",
      holds: () => false,
      fleets: () => ({ node: "edge", shared: true, lastNode: () => undefined, handing }),
      isThere: () => there,
      changes: Effect.succeed(Stream.never)
    })
    const seen = () => {
      here.handing?.want([["task"]])
      return [here.handing?.handed(), here.handing?.leftFor(record()), wanted.at(-1)]
    }
    assert.deepStrictEqual(seen(), [[], 0, []])
    there = true
    assert.deepStrictEqual(seen(), [["t"], 1_000, [["task"]]])
  })
})
