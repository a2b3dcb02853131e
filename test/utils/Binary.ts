/**
 * Drives the compiled binary as a user would: a config in a directory of its own, a child process, its output. Plain
 * promises, because what is tested is a program and not a library.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
export const binary = join(root, "dist", "mister-smith")
export const claude = join(root, "node_modules", ".bin", "claude")

/** A directory of the test's own, removed with everything in it. */
export const tempDir = (): { readonly path: string; [Symbol.dispose](): void } => {
  const path = mkdtempSync(join(tmpdir(), "mister-smith-test-"))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

export type Line = { readonly type: string } & Record<string, unknown>

export interface Running {
  readonly child: ChildProcess
  /** Every JSON line of stdout so far. */
  readonly lines: ReadonlyArray<Line>
  readonly stdout: () => string
  readonly stderr: () => string
  /** The exit code, or the signal's name. */
  readonly exit: Promise<number | string>
  /** Waits for a line, also one that has come already. Fails with all there was when the program ends without it. */
  waitFor(what: string, matches: (line: Line) => boolean): Promise<Line>
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** The program; the compiled binary where not said. */
  readonly command?: ReadonlyArray<string>
}

/** A small environment: nothing of the machine's own accounts gets in. */
const environment = (home: string) => ({
  PATH: process.env["PATH"] ?? "/usr/bin:/bin",
  HOME: home,
  LANG: "C.UTF-8"
})

export const start = (args: ReadonlyArray<string>, options: RunOptions = {}): Running => {
  const cwd = options.cwd ?? root
  const [program = binary, ...first] = options.command ?? [binary]
  const child = spawn(program, [...first, ...args], {
    cwd,
    env: { ...environment(cwd), ...options.env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const lines: Array<Line> = []
  const waiting = new Set<() => void>()
  let stdout = ""
  let partial = ""
  let stderr = ""
  let ended = false
  const wake = () => {
    for (const each of waiting) each()
  }
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text
    const parts = (partial + text).split("\n")
    partial = parts.pop() ?? ""
    lines.push(...parts.flatMap(parse))
    wake()
  })
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text
  })
  const exit = new Promise<number | string>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code, signal) => {
      ended = true
      resolve(signal ?? code ?? -1)
      wake()
    })
  })
  return {
    child,
    lines,
    stdout: () => stdout,
    stderr: () => stderr,
    exit,
    waitFor: (what, matches) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find(matches)
          if (found === undefined && !ended) return
          waiting.delete(look)
          if (found !== undefined) resolve(found)
          else reject(new Error(`ended without ${what}\n--- stdout\n${stdout}\n--- stderr\n${stderr}`))
        }
        waiting.add(look)
        look()
      })
  }
}

/** A line of JSON, or nothing: commands for people print other lines too. */
const parse = (line: string): ReadonlyArray<Line> => {
  if (!line.startsWith('{"')) return []
  try {
    return [JSON.parse(line) as Line]
  } catch {
    return []
  }
}

/** Runs to the end. */
export const finish = async (args: ReadonlyArray<string>, options: RunOptions = {}) => {
  const running = start(args, options)
  const code = await running.exit
  return { code, stdout: running.stdout(), stderr: running.stderr(), lines: running.lines }
}

/** Writes a config into a directory and answers with its path. */
export const writeConfig = (dir: string, config: unknown): string => {
  mkdirSync(dir, { recursive: true })
  const file = join(dir, "config.json")
  writeFileSync(file, typeof config === "string" ? config : JSON.stringify(config, undefined, 2))
  return file
}

/** Everything alive whose environment holds this text. */
export const processesWith = (text: string): ReadonlyArray<{ readonly pid: number; readonly command: string }> =>
  readdirSync("/proc")
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((name) => {
      try {
        if (/^State:\s+[ZX]/m.test(readFileSync(`/proc/${name}/status`, "utf8"))) return []
        if (!readFileSync(`/proc/${name}/environ`).includes(text)) return []
        return [
          { pid: Number(name), command: readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim() }
        ]
      } catch {
        return []
      }
    })

/** The living children of a process. */
export const childrenOf = (pid: number | undefined): ReadonlyArray<{ readonly pid: number; readonly name: string }> =>
  readdirSync("/proc")
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((name) => {
      try {
        const status = readFileSync(`/proc/${name}/status`, "utf8")
        const of = (key: string) => new RegExp(`^${key}:\\s+(.*)$`, "m").exec(status)?.[1] ?? ""
        return Number(of("PPid")) === pid && !/^[ZX]/.test(of("State")) ? [{ pid: Number(name), name: of("Name") }] : []
      } catch {
        return []
      }
    })
