/**
 * How a tree is ended, rung by rung, and the receipt of it. First the leader's group is asked, by SIGINT and SIGTERM, each
 * with a time of its own; then each that is left by SIGTERM, also by a leader that has ended by itself, for it may have a
 * lock to put away; what is left after that is killed by all that the machine offers: its cgroup, its group, and every member that a walk finds, until two walks in a row find nothing and the cgroup
 * is empty. Only then is it called ended; a walk that could not look (no descriptors left) proves nothing.
 */
import { Deferred, Duration, Effect, Option } from "effect"
import * as Monotonic from "../domain/Monotonic.ts"
import type { Members } from "./Membership.ts"
import * as Pausing from "./Pausing.ts"
import { TreeSurvived } from "./ProcessError.ts"
import type { StopSettings } from "./ProcessSettings.ts"
import * as ProcessTable from "./ProcessTable.ts"
import { type Exceeded, isBlind, type Tree, type Trees, type Walk } from "./Trees.ts"

export interface ProcessExit {
  readonly code: number | null
  readonly signal: string | null
  /** The limit that ended it, where one did. */
  readonly exceeded?: Exceeded
}

/** How a process ended: of itself, by a signal to the leader's group, with its cgroup, or found by the walk and killed. */
export type Rung = "exit" | "SIGINT" | "SIGTERM" | "SIGKILL" | "cgroup" | "walk"

/** What a stop found and how each of it ended. That there is one says that nothing is left. */
export interface Receipt {
  readonly run: string
  readonly pid: number
  readonly exit: ProcessExit
  readonly ended: ReadonlyArray<{ readonly pid: number; readonly name: string; readonly by: Rung }>
  readonly tookMillis: number
}

interface Ladder {
  readonly signal: "SIGINT" | "SIGTERM"
  readonly wait: Duration.Duration
}

/** Between a kill and the next look: the kernel needs a moment to carry it out. */
const LOOK_AGAIN = "2 millis"
/** While those that are left may still put something away. */
const LOOK_LATER = "20 millis"

export const end = Effect.fnUntraced(function* (
  tree: Tree,
  trees: Trees,
  exit: Deferred.Deferred<ProcessExit>,
  times: StopSettings
) {
  const { leader, marker } = tree
  const began = yield* Monotonic.millis
  const membersOf = ({ members }: Walk): Members => members.get(marker) ?? []
  const isOver = () => Deferred.isDoneUnsafe(exit)
  const ended = new Map<number, Receipt["ended"][number]>()
  const gone = (members: Members, by: Rung) => {
    for (const { name, pid } of members) if (!ended.has(pid)) ended.set(pid, { pid, name, by })
  }

  // A walk that could not be completed shows nobody, which says nothing of who is there.
  const nobody = (walk: Walk) => !isBlind(walk) && membersOf(walk).length === 0 && !(tree.cgroup?.populated() ?? false)
  const lookAgain = Effect.fnUntraced(function* (by: Rung) {
    last = yield* trees.walk
    if (isBlind(last)) return
    gone(without(left, membersOf(last)), by)
    left = membersOf(last)
  })

  const wasOver = isOver()
  let last = yield* trees.walk
  let left = membersOf(last)
  let asked = false
  const ladder: ReadonlyArray<Ladder> = [
    { signal: "SIGINT", wait: times.interrupt },
    { signal: "SIGTERM", wait: times.terminate }
  ]
  for (const { signal, wait } of ladder) {
    if (isOver()) break
    // What stands still hears nothing.
    Pausing.letGo(tree, left)
    ProcessTable.signalLed(leader, signal)
    yield* Effect.timeoutOption(Effect.interruptible(Deferred.await(exit)), wait)
    yield* lookAgain(signal)
    asked = true
  }
  // Named before they are killed, while there is something to be named.
  const kill = tree.cgroup === undefined ? "walk" : "cgroup"
  // It has ended while we looked.
  if (!wasOver && !asked && left.length > 0) yield* lookAgain("exit")
  // What the leader leaves may have something to put away too: a lock, a half-written file.
  if (isOver() && left.length > 0) {
    Pausing.letGo(tree, left)
    for (const member of left) ProcessTable.signal(member, "SIGTERM")
    const until = (yield* Monotonic.millis) + Duration.toMillis(times.terminate)
    while (left.length > 0 && (yield* Monotonic.millis) < until) {
      yield* Effect.sleep(LOOK_LATER)
      yield* lookAgain("SIGTERM")
    }
  }
  gone(left, isOver() || tree.cgroup !== undefined ? kill : "SIGKILL")

  const deadline = (yield* Monotonic.millis) + Duration.toMillis(times.kill)
  // Where the walk just made has found nobody, that was the first of the two.
  let empty = nobody(last) ? 1 : 0
  let groupKilled = false
  while (empty < 2) {
    // Looked at before the last kill: we may have been stopped ourselves since.
    const late = (yield* Monotonic.millis) > deadline
    tree.cgroup?.kill()
    last = yield* trees.walk
    const members = membersOf(last)
    // One signal to the group also ends what forks faster than a list of it is read. Only a walk after it tells who is left.
    if (tree.holdsGroup || members.some(({ group }) => group === leader.pid)) {
      const reached = ProcessTable.signalGroup(leader.pid, "SIGKILL")
      if (reached && !groupKilled) {
        groupKilled = true
        gone(members, kill)
        empty = 0
        yield* Effect.sleep(LOOK_AGAIN)
        continue
      }
    }
    if (nobody(last)) {
      empty++
      continue
    }
    empty = 0
    if (late) {
      return yield* new TreeSurvived({ run: marker, survivors: members.map(({ name, pid }) => ({ pid, name })) })
    }
    for (const member of members) ProcessTable.signal(member, "SIGKILL")
    gone(members, kill)
    yield* Effect.sleep(LOOK_AGAIN)
  }
  // A tracer that does not let go of the leader keeps its exit from us.
  const how = yield* Effect.timeoutOption(Effect.interruptible(Deferred.await(exit)), times.kill)
  if (Option.isNone(how)) {
    const name = ProcessTable.read(leader.pid)?.name ?? "?"
    return yield* new TreeSurvived({ run: marker, survivors: [{ pid: leader.pid, name }] })
  }
  const receipt: Receipt = {
    run: marker,
    pid: leader.pid,
    exit: how.value,
    ended: [...ended.values()],
    tookMillis: Math.round((yield* Monotonic.millis) - began)
  }
  return receipt
}, Effect.uninterruptible)

const without = (all: Members, some: Members): Members => {
  const pids = new Set(some.map(({ pid }) => pid))
  return all.filter(({ pid }) => !pids.has(pid))
}
