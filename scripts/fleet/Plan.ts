/**
 * What a fleet under fire is given to do, and what befalls it, both from a seed. Every task succeeds in the end, whatever
 * happens, so that one that did not was lost. Some are long, some come after others, so that one end moves several keys.
 */
import type { Random } from "../crash/Random.ts"

export interface PlannedTask {
  readonly id: string
  readonly prompt: string
  readonly priority?: number
  readonly after?: ReadonlyArray<string>
}

/** How long the model takes for its answer, in milliseconds: some longer than a node may be silent. */
const SHORT = 1_500
/** Longer prompts stand beside their task, in characters. */
const LONG = 80_000
/** An answer for each time that the conversation may be gone on with. */
const ANSWERS = 12

export const tasksOf = (random: Random, count: number, { lease, late }: Fleet): ReadonlyArray<PlannedTask> => {
  const tasks: Array<PlannedTask> = []
  while (tasks.length < count) {
    const id = `t${tasks.length}`
    const long = late || random.chance(0.25)
    const delay = long ? random.between(Math.round(lease / 2), lease * (late ? 1 : 2)) : random.between(1, SHORT)
    const step = { text: `did ${id} in {call}`, delay }
    const ballast = random.chance(0.04) ? ` ${"word ".repeat(LONG / 5)}` : ""
    const earlier = random.chance(0.2) ? random.pick(tasks.slice(-20)) : undefined
    tasks.push({
      id,
      prompt: `Do it.${ballast} [task ${id}] @fake${JSON.stringify(Array.from({ length: ANSWERS }, () => step))}`,
      ...(random.chance(0.3) ? { priority: random.between(-10, 10) } : {}),
      ...(earlier === undefined ? {} : { after: [earlier.id] })
    })
  }
  return tasks
}

export type TroubleKind =
  | "nodeKilled"
  | "nodePaused"
  | "nodeCut"
  | "nodeLate"
  | "serverKilled"
  | "serverPaused"
  | "serverCut"
  | "leaderKilled"
  | "allServersKilled"

export interface Trouble {
  readonly kind: TroubleKind
  /** Of the nodes or servers that are well then, the one at this share of the way. */
  readonly who: number
  /** Until it is started again, goes on or is linked again, in milliseconds. */
  readonly lasts: number
  /** Until the next trouble begins, in milliseconds. */
  readonly pause: number
  readonly cut: "down" | "unplugged"
}

export interface Fleet {
  readonly servers: number
  readonly canCut: boolean
  /** How long a node may be silent before others take what it holds, in milliseconds. */
  readonly lease: number
  /** Nothing but nodes that come late with what they were at. */
  readonly late: boolean
}

/** Each kind in turn, in an order by chance. */
export const troublesOf = (random: Random, count: number, fleet: Fleet): ReadonlyArray<Trouble> => {
  const mixed: ReadonlyArray<TroubleKind> = [
    "nodeKilled",
    "nodePaused",
    "serverKilled",
    "serverPaused",
    ...(fleet.canCut ? (["nodeCut"] as const) : []),
    ...(fleet.servers > 1 ? (["leaderKilled", "allServersKilled"] as const) : []),
    ...(fleet.servers > 1 && fleet.canCut ? (["serverCut"] as const) : [])
  ]
  const kinds = fleet.late ? (["nodeLate"] as const) : mixed
  const troubles: Array<Trouble> = []
  while (troubles.length < count) {
    const left: Array<TroubleKind> = [...kinds]
    while (left.length > 0 && troubles.length < count) {
      const [kind = "nodeKilled"] = left.splice(random.between(0, left.length - 1), 1)
      const [least, most] = SHARES[kind]
      troubles.push({
        kind,
        who: random.next(),
        lasts: Math.round(fleet.lease * (least + random.next() * (most - least))),
        pause: Math.round(fleet.lease * (0.2 + random.next())),
        cut: random.chance(0.5) ? "down" : "unplugged"
      })
    }
  }
  return troubles
}

/** How long each lasts, in leases. A node that is paused is always taken for dead. */
const SHARES: Readonly<Record<TroubleKind, readonly [number, number]>> = {
  nodeKilled: [0, 2],
  nodePaused: [1.8, 3],
  nodeCut: [0.3, 3],
  nodeLate: [2.5, 3],
  serverKilled: [0, 1],
  serverPaused: [0.2, 1.5],
  serverCut: [0.3, 1.5],
  leaderKilled: [0, 1],
  allServersKilled: [0, 1]
}
