/**
 * Starts one process: argv as it is given, never a shell line; a session of its own, so that a signal to its group reaches
 * no one else; the environment it was told and no more; in its cgroup and its PID namespace before its first instruction.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { accessSync, constants, existsSync, statSync } from "node:fs"
import { delimiter, join, resolve } from "node:path"
import { Redacted } from "effect"
import type { Group } from "./Cgroup.ts"
import * as Evidence from "./Evidence.ts"
import type { PidNamespace } from "./PidNamespace.ts"
import {
  CommandNotExecutable,
  CommandNotFound,
  OutOfResources,
  type SpawnError,
  SpawnFailed,
  WorkingDirectoryMissing
} from "./ProcessError.ts"
import { MARKER } from "./ProcessTable.ts"

export interface LaunchSpec {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly cwd: string
  /** The whole environment; nothing is inherited. */
  readonly env: Readonly<Record<string, string | Redacted.Redacted>>
}

export interface Place {
  readonly marker: string
  readonly cgroup: Group | undefined
  readonly namespace: PidNamespace | undefined
}

/** Bun puts a child into its cgroup as it makes it (clone3). */
const isBun = process.versions["bun"] !== undefined

/** Elsewhere the child moves itself there before it becomes the program. */
const JOIN = 'echo 0 >"$0/cgroup.procs" && exec "$@"'

export const launch = (spec: LaunchSpec, { cgroup, marker, namespace }: Place): ChildProcess => {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(spec.env))
    env[name] = Redacted.isRedacted(value) ? Redacted.value(value) : value
  // Last: who runs us may have marked us, and hand on what we were given.
  env[MARKER] = marker
  let [command, args] = namespace?.wrap(spec.command, spec.args) ?? [spec.command, spec.args]
  const joins = cgroup !== undefined && isBun ? { cgroup: cgroup.path } : {}
  if (cgroup !== undefined && !isBun) [command, args] = ["/bin/sh", ["-c", JOIN, cgroup.path, command, ...args]]
  // `detached` is setsid.
  return spawn(command, [...args], { cwd: spec.cwd, env, detached: true, stdio: "pipe", ...joins })
}

/** What the system would not say, or only to a launcher in between. Undefined where all is well. */
export const preflight = ({ command, cwd, env }: LaunchSpec, { cgroup, namespace }: Place): SpawnError | undefined => {
  if (!isDirectory(cwd)) return new WorkingDirectoryMissing({ cwd })
  if (namespace === undefined && (cgroup === undefined || isBun)) return undefined
  const path = env["PATH"]
  const places = command.includes("/")
    ? [resolve(cwd, command)]
    : (typeof path === "string" ? path : "").split(delimiter).map((directory) => join(directory || ".", command))
  const there = places.filter((place) => existsSync(place) && !isDirectory(place))
  if (there.length === 0) return new CommandNotFound({ command })
  return there.some(isExecutable) ? undefined : new CommandNotExecutable({ command, code: "EACCES" })
}

const isExecutable = (path: string) => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const isDirectory = (path: string) => {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

const limits = Evidence.limits()

export const spawnError = ({ command }: LaunchSpec, error: unknown): SpawnError => {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error)
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return new CommandNotFound({ command })
    case "EACCES":
    case "EPERM":
    case "ENOEXEC":
      return new CommandNotExecutable({ command, code })
    case "EAGAIN":
    case "ENOMEM":
    case "EMFILE":
    case "ENFILE":
      return new OutOfResources({ command, code, evidence: Evidence.gather(limits) })
    default:
      return new SpawnFailed({ command, code })
  }
}
