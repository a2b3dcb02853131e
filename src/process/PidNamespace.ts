/**
 * The strongest rung: a PID namespace for each run, whose end takes every descendant along, whatever it has called or
 * overwritten. Made by util-linux's unshare, which ends the namespace when it is killed itself. Its first process must
 * reap what loses its parent: a shell that waits does.
 */
import { spawnSync } from "node:child_process"

/** `wait` alone hears of every child, so orphans do not stay as zombies. Background jobs get no stdin: 3 is the caller's. */
const INIT = 'exec 3<&0; "$@" <&3 3<&- & exec 3<&- 0<&-; wait $!; exit $?'

export interface PidNamespace {
  /** The command to run in place of this one. */
  wrap(command: string, args: ReadonlyArray<string>): readonly [command: string, args: ReadonlyArray<string>]
}

export interface NoPidNamespace {
  readonly why: string
  readonly hint: string
}

const FLAGS = ["--pid", "--fork", "--kill-child", "--mount-proc"]
const AS_USER = ["--user", "--map-current-user"]
/** A machine that takes longer to make one is not to be relied on. */
const LIMIT = 5000

const tried = (flags: ReadonlyArray<string>): string | undefined => {
  const { error, status, stderr } = spawnSync("unshare", [...flags, "--", "/bin/sh", "-c", 'test "$$" = 1'], {
    stdio: ["ignore", "ignore", "pipe"],
    timeout: LIMIT,
    encoding: "utf8"
  })
  if (error !== undefined) return "code" in error && error.code === "ENOENT" ? "there is no unshare" : error.message
  return status === 0 ? undefined : stderr.trim().split("\n")[0] || `unshare ended with ${status}`
}

/** Tries it: as root, else with a user namespace. Takes some milliseconds; called once. */
export const find = (): PidNamespace | NoPidNamespace => {
  const isRoot = process.getuid?.() === 0
  const attempts = isRoot ? [FLAGS, [...AS_USER, ...FLAGS]] : [[...AS_USER, ...FLAGS]]
  let why = ""
  for (const flags of attempts) {
    const failure = tried(flags)
    if (failure === undefined) {
      return { wrap: (command, args) => ["unshare", [...flags, "--", "/bin/sh", "-c", INIT, "init", command, ...args]] }
    }
    why = failure
  }
  return {
    why: `a PID namespace could not be made: ${why}`,
    hint: "run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces); install util-linux 2.37 or later"
  }
}
