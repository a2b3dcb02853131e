/** Who waits for something of a task within this process: for its end, or for the end of an attempt's hold on it. */
import { Deferred, Effect } from "effect"
import type { TaskResult } from "../domain/Task.ts"

export class Waiting {
  private readonly results = new Map<string, Deferred.Deferred<TaskResult>>()
  private readonly holds = new Map<string, { readonly attempt: number; readonly over: Deferred.Deferred<void> }>()

  /** For a task that has not ended: whoever calls this waits from then on, not only when the Effect runs. */
  result(id: string): Effect.Effect<TaskResult> {
    const known = this.results.get(id) ?? Deferred.makeUnsafe<TaskResult>()
    this.results.set(id, known)
    return Deferred.await(known)
  }

  ended(id: string, result: TaskResult): void {
    const waiting = this.results.get(id)
    this.results.delete(id)
    if (waiting !== undefined) Deferred.doneUnsafe(waiting, Effect.succeed(result))
  }

  held(id: string, attempt: number): void {
    if (this.holds.get(id)?.attempt === attempt) return
    this.letGo(id)
    this.holds.set(id, { attempt, over: Deferred.makeUnsafe() })
  }

  letGo(id: string): void {
    const hold = this.holds.get(id)
    this.holds.delete(id)
    if (hold !== undefined) Deferred.doneUnsafe(hold.over, Effect.void)
  }

  /** Completes when this attempt does not hold the task, be it already. */
  released(id: string, attempt: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const hold = this.holds.get(id)
      return hold?.attempt === attempt ? Deferred.await(hold.over) : Effect.void
    })
  }
}
