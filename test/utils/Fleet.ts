/**
 * A fleet for one end-to-end test: the compiled binary, the real Claude CLI, the stand-in for the Messages API, and a
 * directory of its own. Everything is gone when the test ends.
 */
import type { Step } from "../../scripts/standin/Script.ts"
import { type Standin, type StandinOptions, startStandin } from "../../scripts/standin/Standin.ts"
import { claude, finish, type Line, type RunOptions, start, tempDir, writeConfig } from "./Binary.ts"

/** A prompt that carries its script for the stand-in. */
export const fake = (...steps: ReadonlyArray<Step>): string => `Do it. @fake${JSON.stringify(steps)}`

export interface Fleet extends AsyncDisposable {
  readonly dir: string
  readonly standin: Standin
  /** Writes the config and answers with its path. */
  config(config: Record<string, unknown>): string
  run(config: Record<string, unknown>, ...args: ReadonlyArray<string>): ReturnType<typeof start>
  /** `run --once --json` to its end. */
  once(
    config: Record<string, unknown>
  ): Promise<{ readonly code: number | string; readonly lines: ReadonlyArray<Line>; readonly stderr: string }>
}

/** Restarts and retries without the pauses that people want. */
const quick = {
  retry: { delay: "100 millis", maxDelay: "1 second" },
  claude: { command: claude }
}

export const fleet = async (
  options: StandinOptions & { readonly env?: RunOptions["env"]; readonly command?: RunOptions["command"] } = {}
): Promise<Fleet> => {
  const dir = tempDir()
  const standin = await startStandin(options)
  const config = (value: Record<string, unknown>) => writeConfig(dir.path, { ...quick, ...value })
  const runOptions: RunOptions = {
    cwd: dir.path,
    env: { ANTHROPIC_BASE_URL: standin.url, ANTHROPIC_API_KEY: "sk-ant-test-key", ...options.env },
    ...(options.command === undefined ? {} : { command: options.command })
  }
  const started: Array<ReturnType<typeof start>> = []
  return {
    dir: dir.path,
    standin,
    config,
    run: (value, ...args) => {
      const running = start(["run", config(value), ...args], runOptions)
      started.push(running)
      return running
    },
    once: (value) => finish(["run", config(value), "--once", "--json"], runOptions),
    [Symbol.asyncDispose]: async () => {
      for (const { child, exit } of started) {
        if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM")
        await exit
      }
      await standin.close()
      dir[Symbol.dispose]()
    }
  }
}

/** An agent that restarts without a pause. */
export const agent = (more: Record<string, unknown> = {}) => ({
  id: "worker",
  restart: { initialDelay: "50 millis", maxDelay: "1 second" },
  ...more
})

export const resultOf = (lines: ReadonlyArray<Line>, task: string): Line | undefined =>
  lines.find((line) => line.type === "task.result" && line["task"] === task)

/** The kind of the fault that a task failed with. */
export const faultOf = (lines: ReadonlyArray<Line>, task: string): unknown =>
  (resultOf(lines, task)?.["fault"] as { readonly kind?: unknown } | undefined)?.kind
