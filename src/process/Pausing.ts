/**
 * Brings a whole tree to a halt and lets it go on: by freezing its cgroup, else by SIGSTOP to each member until a walk
 * finds all of them stopped, for one may fork while the others are being stopped. Kept in the tree is how long it stood
 * still, so that who waits for it can leave that out.
 */
import { Effect } from "effect"
import type { Members } from "./Membership.ts"
import { PauseFailed } from "./ProcessError.ts"
import * as ProcessTable from "./ProcessTable.ts"
import { isBlind, type Tree, type Trees } from "./Trees.ts"

/** Looks before it is given up. */
const ROUNDS = 100
const LOOK_AGAIN = "5 millis"

/** How long it has stood still, in all. Milliseconds. */
export const pausedMillis = ({ now, pausedBefore, pausedSince }: Tree): number =>
  pausedBefore + (pausedSince === undefined ? 0 : now() - pausedSince)

export const pause = Effect.fnUntraced(function* (tree: Tree, trees: Trees) {
  if (tree.pausedSince !== undefined) return
  const told = new Set<number>()
  for (let round = 0; round < ROUNDS; round++) {
    const frozen = tree.cgroup?.freeze() === true
    // Root may have left its cgroup, and is stopped like one that has none.
    const inside = new Set(frozen ? tree.cgroup?.pids() : [])
    const running = (yield* membersOf(tree, trees))?.filter(
      ({ pid, state }) => !inside.has(pid) && state !== "T" && state !== "t"
    )
    // Who waits in the kernel stands still, and does nothing of its own before it takes its signal: one that has begun a
    // child with vfork waits so for as long as that child is stopped.
    const still = running?.every(({ pid, state }) => state === "D" && told.has(pid)) ?? false
    if (still && (!frozen || tree.cgroup?.isFrozen() === true)) return halted(tree)
    for (const member of running ?? []) {
      ProcessTable.signal(member, "SIGSTOP")
      told.add(member.pid)
    }
    yield* Effect.sleep(LOOK_AGAIN)
  }
  letGo(tree, (yield* membersOf(tree, trees)) ?? [])
  return yield* new PauseFailed({ run: tree.marker, wanted: "paused" })
}, Effect.uninterruptible)

export const resume = Effect.fnUntraced(function* (tree: Tree, trees: Trees) {
  if (tree.pausedSince === undefined) return
  for (let round = 0; round < ROUNDS; round++) {
    const members = yield* membersOf(tree, trees)
    letGo(tree, members ?? [])
    const seen = yield* membersOf(tree, trees)
    if (members !== undefined && seen !== undefined) {
      if (!(tree.cgroup?.isFrozen() ?? seen.some(({ state }) => state === "T"))) return
    }
    yield* Effect.sleep(LOOK_AGAIN)
  }
  return yield* new PauseFailed({ run: tree.marker, wanted: "running" })
}, Effect.uninterruptible)

/** Undefined where nothing could be seen. */
const membersOf = (tree: Tree, trees: Trees) =>
  Effect.map(trees.walk, (walk) => (isBlind(walk) ? undefined : (walk.members.get(tree.marker) ?? [])))

const halted = (tree: Tree): void => {
  tree.pausedSince = tree.now()
}

/** Lets a tree go on, if it stands still. */
export const letGo = (tree: Tree, members: Members): void => {
  if (tree.pausedSince !== undefined) {
    tree.pausedBefore += tree.now() - tree.pausedSince
    tree.pausedSince = undefined
  }
  tree.cgroup?.thaw()
  // Also what has stopped itself, and who would stop as soon as the kernel lets go of it.
  for (const member of members) if (member.state === "T" || member.state === "D") ProcessTable.signal(member, "SIGCONT")
}
