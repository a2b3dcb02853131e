/**
 * How log files are called below `logs` in the data directory: `runtime.log`, `agents/ID.log` and `agents/ID.stream.log`
 * are written to, and what was put aside has the time of that in its name: `runtime.20261121T103119123Z.log`. No id of an
 * agent holds a dot.
 */
export const DIR = "logs"
export const RUNTIME = "runtime"

/** The name under which an agent's lines are written. */
export const agentLog = (agent: string): string => `agents/${agent}`

/** The name under which what its CLI prints on stdout is written. */
export const agentStream = (agent: string): string => `agents/${agent}.stream`

export const rotatedName = (name: string, millis: number): string =>
  `${name}.${new Date(millis).toISOString().replace(/[-:.]/g, "")}.log`

const NAMED = /^([^./]+|agents\/[^./]+(?:\.stream)?)(?:\.(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z)?\.log$/

/** What a path below `logs` is: of which name, and when it was put aside. Undefined for a file that is no log. */
export const nameOf = (path: string): { readonly name: string; readonly rotated?: number } | undefined => {
  const match = NAMED.exec(path)
  if (match === null) return undefined
  const [, name = "", ...time] = match
  if (time[0] === undefined) return { name }
  const [year = 0, month = 1, day, hour, minute, second, millis] = time.map(Number)
  return { name, rotated: Date.UTC(year, month - 1, day, hour, minute, second, millis) }
}
