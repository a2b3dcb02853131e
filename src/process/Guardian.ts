/**
 * Ends all trees when the runtime itself dies, also by SIGKILL: a shell of 2 MB at most that holds the other end of a
 * pipe. The kernel closes our end whatever we die of; the shell then kills all that the runtime has told it of, and what
 * carries the marker of this life of the runtime, until two walks in a row find nothing.
 *
 * Promises: it leads its own session, ignores every signal that can be ignored, and neither its name nor its command line
 * says what a person would kill by name (the runtime, the CLI, node, sh). It touches nothing while the runtime lives, ends
 * silently with the runtime's orderly end (unless a tree survived it), and is replaced when it dies. Where there is no /bin/sh or no /proc there is
 * none, and the next start's Sweep is what is left.
 *
 * What is this life's it has from its first instruction, in its environment: KEEPS, what the markers begin with, and
 * GROUP, the cgroup of all runs. Lines on its stdin tell of the rest: `run PID START`, `gone PID START`, `bye`.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdirSync, realpathSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { available, MARKER, type ProcessIdentity } from "./ProcessTable.ts"

/** What it is called in `ps`. */
const NAME = "tree-guardian"
const SHELL = "/bin/sh"

/**
 * POSIX shell; besides builtins only grep, sleep and rmdir. Leaders are kept as " PID:START PID:START ". At the end of the input
 * each round finds the members (by marker, by a leader's group, by descent and by session), kills them, and looks again.
 *
 * The first round does without grep, which needs a process of its own where a storm may have left none; where there is
 * none to be had later either, the shell ends, and its last trap goes on with builtins alone.
 */
export const SCRIPT = `
trap '' HUP INT QUIT TERM USR1 USR2 ALRM TSTP TTIN TTOU PIPE
mark=\${KEEPS:+${MARKER}=$KEEPS} group=$GROUP leaders=' '
while read -r what rest; do
  a=\${rest% *} b=\${rest##* }
  case $what in
    run) leaders="$leaders$a:$b " ;;
    gone) case $leaders in *" $a:$b "*) leaders="\${leaders%%" $a:$b "*} \${leaders#*" $a:$b "}" ;; esac ;;
    bye) exit 0 ;;
  esac
done
# An empty mark would match everything.
case $mark in *=????????*) ;; *) exit 0 ;; esac
case $group in */mister-smith-*) ;; *) group= ;; esac
stat() {
  line=
  while read -r more; do line="$line $more"; done 2>/dev/null <"/proc/$1/stat" || [ -n "$line" ] || return 1
  set -- \${line##*) }
  state=$1 parent=$2 pgrp=$3 session=$4
  [ $# -ge 20 ] || return 1
  threads=\${18}
  shift 19
  start=$1
}
marked() {
  for file in /proc/$1/environ /proc/$1/task/[0-9]*/environ; do
    while read -r more || [ -n "$more" ]; do
      case $more in *"$mark"*) return 0 ;; esac
    done 2>/dev/null <$file
  done
  return 1
}
stat $$ && mine=$session || exit 1
forks=1 quiet=0 round=0 lost=' '
rounds() {
while [ $quiet -lt 2 ] && [ $round -lt 500 ]; do
  round=$((round + 1))
  [ -n "$group" ] && [ -w "$group/cgroup.kill" ] && echo 1 >"$group/cgroup.kill"
  groups=' ' found=' ' sessions=' ' table= headless=
  for leader in $leaders; do
    pid=\${leader%:*}
    [ "$pid" -gt 1 ] || continue
    if stat $pid; then
      [ "$start" = "\${leader#*:}" ] || continue
      found="$found$pid "
    elif [ $round = 1 ]; then
      # Gone before we looked: its number may be another's by now.
      lost="$lost$leader "
    fi
    case $lost in *" $leader "*) continue ;; esac
    groups="$groups$pid "
  done
  if [ -n "$group" ]; then
    for file in "$group"/cgroup.procs "$group"/*/cgroup.procs; do
      while read -r pid; do [ $pid -gt 0 ] && found="$found$pid "; done 2>/dev/null <"$file"
    done
  fi
  for dir in /proc/[0-9]*; do
    pid=\${dir#/proc/}
    stat $pid || continue
    case $state in Z|X)
      # Its first thread has ended, the others have not.
      [ $threads -gt 1 ] || continue
      headless="$headless $dir/task/[0-9]*/environ"
    esac
    [ $pid = 1 ] || [ $pid = $$ ] || [ $parent = $$ ] && continue
    table="$table $pid:$parent:$pgrp:$session"
    case $groups in *" $pgrp "*) found="$found$pid " ;; esac
    [ $forks = 1 ] || { marked $pid && found="$found$pid "; }
  done
  if [ $forks = 1 ] && [ $round -gt 1 ]; then
    for file in $(grep -lsaF "$mark" /proc/[0-9]*/environ $headless 2>/dev/null); do
      file=\${file#/proc/}; found="$found\${file%%/*} "
    done
  fi
  alive=' ' grown=1
  while [ $grown = 1 ]; do
    grown=0
    for row in $table; do
      pid=\${row%%:*}; row=\${row#*:}; parent=\${row%%:*}; row=\${row#*:}; session=\${row#*:}
      case $alive in *" $pid "*) continue ;; esac
      hit=0
      case $found in *" $pid "*) hit=1 ;; esac
      case $alive in *" $parent "*) hit=1 ;; esac
      case $sessions in *" $session "*) hit=1 ;; esac
      [ $hit = 1 ] || continue
      alive="$alive$pid "; grown=1
      [ $session = 0 ] || [ $session = "$mine" ] || sessions="$sessions$session "
    done
  done
  if [ "$alive" != ' ' ]; then quiet=0; kill -9 $alive; elif [ $round -gt 1 ]; then quiet=$((quiet + 1)); fi 2>/dev/null
  for pid in $groups; do kill -9 -$pid; done 2>/dev/null
  [ $forks = 1 ] && [ $round -gt 1 ] && [ $quiet -lt 2 ] && sleep 0.02
done
[ $forks = 1 ] && [ -n "$group" ] && rmdir "$group"/*/ "$group" 2>/dev/null
}
trap 'forks=0; rounds' EXIT
rounds
trap - EXIT
`

export interface Guardian {
  /** Its pid, which no walk may take for a member; undefined while there is none. */
  pid(): number | undefined
  /** A tree has begun. */
  run(leader: ProcessIdentity): void
  /** A tree was proven gone. */
  gone(leader: ProcessIdentity): void
  /** All was ended in order: it has nothing to do. */
  close(): void
}

export interface GuardianOptions {
  /** A directory of ours, for the name. */
  readonly directory: string
  /** What the markers of this life begin with. */
  readonly prefix: string
  /** The cgroup that holds all runs and nothing else. */
  readonly cgroup: string | undefined
}

/** After more than so many deaths of it in a row, each within a second, the next is only tried after a while. */
const MAX_DEATHS = 5
const A_WHILE = 5000

/** Undefined where the machine has not what it takes. */
export const start = (options: GuardianOptions): Guardian | undefined => {
  if (!available || !existsSync(SHELL)) return undefined
  const command = named(options.directory)
  const leaders = new Map<string, ProcessIdentity>()
  let child: ChildProcess | undefined
  let closed = false
  let deaths = 0
  const say = (line: string) => void child?.stdin?.write(`${line}\n`)
  const launch = () => {
    const began = performance.now()
    const lost = () => {
      child = undefined
      if (closed) return
      deaths = performance.now() - began < 1000 ? deaths + 1 : 0
      if (deaths <= MAX_DEATHS) launch()
      else setTimeout(launch, A_WHILE).unref()
    }
    if (closed) return
    let next: ChildProcess
    try {
      // Nothing of our own environment: no marker, no secret.
      next = spawn(command.path, ["-c", SCRIPT], {
        argv0: command.argv0,
        cwd: "/",
        env: { KEEPS: options.prefix, GROUP: options.cgroup ?? "" },
        detached: true,
        stdio: ["pipe", "ignore", "ignore"]
      })
    } catch {
      // No process or no descriptor to be had now.
      return lost()
    }
    child = next
    next.stdin?.on("error", () => {})
    const ended = () => {
      if (child === next) lost()
    }
    next.once("exit", ended)
    next.once("error", ended)
    // Nobody waits for it at our end.
    next.unref()
    if (next.stdin !== null && "unref" in next.stdin && typeof next.stdin.unref === "function") next.stdin.unref()
    for (const { pid, startTime } of leaders.values()) say(`run ${pid} ${startTime}`)
  }
  launch()
  return {
    pid: () => child?.pid,
    run: (leader) => {
      leaders.set(`${leader.pid}:${leader.startTime}`, leader)
      say(`run ${leader.pid} ${leader.startTime}`)
    },
    gone: (leader) => {
      leaders.delete(`${leader.pid}:${leader.startTime}`)
      say(`gone ${leader.pid} ${leader.startTime}`)
    },
    close: () => {
      if (closed) return
      closed = true
      // Not where a tree was not proven gone: the end of the input then finds it.
      if (leaders.size === 0) say("bye")
      child?.stdin?.end()
    }
  }
}

/** `ps` shows a process by the name of the file that was run: the shell, under a name of its own. */
const named = (directory: string): { readonly path: string; readonly argv0: string } => {
  const path = join(directory, NAME)
  try {
    // One program for many commands goes by the name that it is called.
    if (/busybox|toybox/.test(realpathSync(SHELL))) return { path: SHELL, argv0: "sh" }
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    if (!existsSync(path)) symlinkSync(SHELL, path)
    return { path, argv0: NAME }
  } catch {
    return { path: SHELL, argv0: NAME }
  }
}
