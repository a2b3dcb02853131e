/** The peer in C, compiled for one run of the bench; or why there is none. */
import { spawnSync } from "node:child_process"
import { join } from "node:path"

export interface Times {
  /** Microseconds, one for each child, since the call or the kill. */
  readonly called: ReadonlyArray<number>
  readonly printed: ReadonlyArray<number>
  readonly died: ReadonlyArray<number>
}

export interface Peer {
  run(mode: "spawn" | "burst" | "respawn", count: number, program: ReadonlyArray<string>): Times
}

/** A string says what is missing. */
export const compile = (directory: string): Peer | string => {
  const binary = join(directory, "peer")
  const compiler = ["gcc", "cc"].find((name) => spawnSync(name, ["--version"]).status === 0)
  if (compiler === undefined) return "no C compiler here: apt-get install gcc"
  const compiled = spawnSync(compiler, ["-O2", "-o", binary, join(import.meta.dirname, "peer.c")])
  if (compiled.status !== 0) return `the peer does not compile: ${compiled.stderr}`
  return {
    run: (mode, count, program) => {
      const { status, stderr, stdout } = spawnSync(binary, [mode, String(count), ...program], { cwd: "/" })
      if (status !== 0) throw new Error(`the peer failed: ${stderr}`)
      return JSON.parse(String(stdout)) as Times
    }
  }
}
