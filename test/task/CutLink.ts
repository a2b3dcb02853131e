/**
 * A fleet within this process, whose link a test cuts and mends: while it is cut, the fleet's ledger answers nothing that
 * must be written, as servers that are gone. `loseAnswer`: a write to come arrives,
 * and nobody hears of it. The rest are faults that real servers show only when they are ill: `largest`, `full` and `deadly`.
 */
import { Deferred, Effect } from "effect"
import type { Link } from "../../src/task/EdgeReach.ts"
import type { SharedLedger } from "../../src/task/EdgeReports.ts"
import type { LedgerStore } from "../../src/task/LedgerStore.ts"
import { LedgerUnusable } from "../../src/task/TaskError.ts"
import type { TaskLedger } from "../../src/task/TaskLedger.ts"

const WRITES = [
  "submit",
  "submitAll",
  "claim",
  "complete",
  "giveUp",
  "park",
  "awaitPerson",
  "answered",
  "cancel",
  "adopt"
] as const

export class CutLink implements Link {
  private up: boolean
  private changed = Deferred.makeUnsafe<void>()
  private lostIn = 0
  /** Characters of the largest write that is taken, as of a server with a small `max_payload`. */
  largest = Number.POSITIVE_INFINITY
  /** Tasks of which nothing is written, as in a bucket that has no room. */
  readonly full = new Set<string>()
  /** Tasks of which each write dies by a defect; "reach": each look at the fleet. */
  readonly deadly = new Set<string>()
  /** Writes that were tried, by task. */
  readonly tried: Array<string> = []
  /** Ends that were published, in order. */
  readonly published: Array<string> = []
  readonly first = Effect.void

  constructor(up: boolean) {
    this.up = up
  }
  isUp = () => this.up
  becomes = (up: boolean): Effect.Effect<void> =>
    Effect.suspend(() =>
      this.up === up ? Effect.void : Effect.andThen(Deferred.await(this.changed), this.becomes(up))
    )
  private set(up: boolean) {
    return Effect.sync(() => {
      const { changed } = this
      this.up = up
      this.changed = Deferred.makeUnsafe()
      // Whoever waits goes on within this call.
      Deferred.doneUnsafe(changed, Effect.void)
    })
  }
  readonly cut = Effect.suspend(() => this.set(false))
  readonly mend = Effect.suspend(() => this.set(true))
  readonly loseAnswer = (nth = 1) =>
    Effect.sync(() => {
      this.lostIn = nth
    })

  private readonly gone = Effect.suspend(() =>
    Effect.fail(new LedgerUnusable({ where: "of the fleet", problem: "unreachable", detail: "the link is cut" }))
  )
  private readonly reach = Effect.suspend(() => {
    if (!this.up) return this.gone
    return this.deadly.has("reach") ? Effect.die(new Error("a fake defect")) : Effect.void
  })
  private readonly taken = (given: ReadonlyArray<unknown>) =>
    Effect.suspend(() => {
      const [first] = given as ReadonlyArray<string | { readonly record?: { readonly id: string } }>
      const task = typeof first === "string" ? first : (first?.record?.id ?? "")
      this.tried.push(task)
      if (this.deadly.has(task)) return Effect.die(new Error("a fake defect"))
      const problem = this.full.has(task)
        ? "noRoom"
        : JSON.stringify(given).length > this.largest
          ? "tooLarge"
          : undefined
      if (problem === undefined) return Effect.void
      return Effect.fail(new LedgerUnusable({ where: "of the fleet", problem, detail: "a fake fault" }))
    })

  fleet(ledger: TaskLedger["Service"], store: Pick<LedgerStore, "has">): SharedLedger {
    const writes = Object.fromEntries(
      WRITES.map((name) => [
        name,
        (...given: ReadonlyArray<never>) =>
          Effect.andThen(
            Effect.andThen(this.reach, this.taken(given)),
            Effect.flatMap(
              (ledger[name] as (...given: ReadonlyArray<never>) => Effect.Effect<unknown, unknown>)(...given),
              (answer) => {
                if (this.lostIn === 0 || --this.lostIn > 0) return Effect.succeed(answer)
                return Effect.andThen(this.cut, this.gone)
              }
            )
          )
      ])
    )
    return {
      ledger: { ...ledger, ...writes, recover: Effect.andThen(this.reach, ledger.recover) } as TaskLedger["Service"],
      knows: (id) => store.has(id),
      reach: this.reach,
      published: (id) =>
        Effect.andThen(
          this.reach,
          Effect.sync(() => {
            if (!this.published.includes(id)) this.published.push(id)
          })
        )
    }
  }
}
