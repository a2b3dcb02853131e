/**
 * What process trees cost, beside plain Bun.spawn and a peer in C in the same run, in turn. Prints one JSON object:
 *
 * - spawn: from the call to its return and to the child's first byte, and how many a second where many are started at once
 * - deathToEvent: from a SIGKILL until the fiber that waits for the exit hears of it, also while another holds the stdout
 * - killToReplacement: the same child under a supervisor, until the next life's first byte; the peer forks and waits
 * - stop: many trees at once, until each has its receipt
 * - runtimeKilled: SIGKILL of a runtime until nothing of its trees is alive, and the guardian's memory
 *
 * `bun scripts/bench/process.ts [PART]...`. The goals stand beside the figures; nothing fails for being slow.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import * as ProcFs from "../../src/process/ProcFs.ts"
import { dying } from "./process/Dying.ts"
import { guarding } from "./process/Guarding.ts"
import { noCgroup } from "./process/Machine.ts"
import { compile } from "./process/Peer.ts"
import { spawning } from "./process/Spawning.ts"
import { stopping } from "./process/Stopping.ts"

const wanted = new Set(process.argv.slice(2))
const wants = (part: string) => wanted.size === 0 || wanted.has(part)
const directory = mkdtempSync(join(tmpdir(), "mister-smith-bench-"))
try {
  const peer = compile(directory)
  const figures = {
    bench: "process",
    // A stop walks over all of them.
    processesOnTheMachine: ProcFs.walk().size,
    ...(noCgroup === undefined ? {} : { noCgroup }),
    ...(wants("spawn") ? { spawn: await Effect.runPromise(spawning(peer)) } : {}),
    ...(wants("death") ? await Effect.runPromise(dying(peer)) : {}),
    ...(wants("stop") ? { stop: await Effect.runPromise(stopping) } : {}),
    ...(wants("runtime") ? { runtimeKilled: await guarding() } : {})
  }
  console.log(JSON.stringify(figures, null, 2))
} finally {
  rmSync(directory, { recursive: true, force: true })
}
