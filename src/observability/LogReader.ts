/**
 * Reads back what the log files of a data directory hold of an agent, with or without a node that runs.
 *
 * Promises: the oldest first; what a crash has left of a line, or anybody else has written, is passed over and counted;
 * of any number of lines only the wanted ones are held.
 */
import { createReadStream } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { logFilesIn } from "./LogFiles.ts"
import type { Line } from "./LogLine.ts"
import { agentLog, agentStream, DIR, nameOf } from "./LogNames.ts"

export interface Kept {
  readonly lines: ReadonlyArray<Line>
  /** Lines that are none. */
  readonly broken: number
}

/** Lines that are held at most. */
export const MAX_READ = 1_000_000

/** The agents of which there are log files. */
export const agentsIn = async (dataDir: string): Promise<ReadonlyArray<string>> => {
  const names = (await logFilesIn(join(dataDir, DIR))).flatMap((path) => nameOf(path)?.name ?? [])
  return [...new Set(names)]
    .filter((name) => name.startsWith(agentLog("")) && !name.endsWith(agentStream("").slice(agentLog("").length)))
    .map((name) => name.slice(agentLog("").length))
    .sort()
}

export interface Wanted {
  readonly last?: number | undefined
  /** Milliseconds since the epoch. */
  readonly since?: number | undefined
  readonly only?: (line: Line) => boolean
}

/** What is kept of an agent since then, the latest so many. */
export const read = async (
  dataDir: string,
  agent: string,
  { last = MAX_READ, only = () => true, since = 0 }: Wanted
): Promise<Kept> => {
  const dir = join(dataDir, DIR)
  const files = (await logFilesIn(dir))
    .flatMap((path) => {
      const named = nameOf(path)
      return named?.name === agentLog(agent) ? [{ path, at: named.rotated ?? Number.POSITIVE_INFINITY }] : []
    })
    // All its lines are older.
    .filter(({ at }) => at >= since)
    .sort((a, b) => (a.at < b.at ? -1 : 1))
  const most = Math.min(last, MAX_READ)
  let lines: Array<Line> = []
  let broken = 0
  for (const { path } of files) {
    const source = createReadStream(join(dir, path))
    // One that was removed meanwhile has nothing more to say.
    source.on("error", () => {})
    try {
      for await (const text of createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY })) {
        const line = lineIn(text)
        if (line === undefined) broken++
        else if (Date.parse(line.time) >= since && only(line)) lines.push(line)
        if (lines.length > 2 * most + 1) lines = lines.slice(-most)
      }
    } catch {
      source.destroy()
    }
  }
  return { lines: most === 0 ? [] : lines.slice(-most), broken }
}

const lineIn = (text: string): Line | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null && "time" in value && typeof value.time === "string"
      ? (value as Line)
      : undefined
  } catch {
    return undefined
  }
}
