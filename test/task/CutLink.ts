/**
 * A fleet within this process, whose link a test cuts and mends: while it is cut, the fleet's ledger answers nothing that
 * must be written, as servers that are gone. `loseAnswer`: a write to come arrives,
 * and nobody hears of it.
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
  private readonly reach = Effect.suspend(() => (this.up ? Effect.void : this.gone))

  fleet(ledger: TaskLedger["Service"], store: Pick<LedgerStore, "has">): SharedLedger {
    const writes = Object.fromEntries(
      WRITES.map((name) => [
        name,
        (...given: ReadonlyArray<never>) =>
          Effect.andThen(
            this.reach,
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
