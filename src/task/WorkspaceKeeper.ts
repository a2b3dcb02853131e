/**
 * Clears away the workspaces of tasks that have ended: whenever a task moves, and whenever one is left by its agent. A task
 * that is to be tried again keeps its own. What may be removed is agent/Workspace.ts's to know.
 */
import { Effect, Layer, Stream } from "effect"
import { Workspaces } from "../agent/Workspace.ts"
import { isFinal } from "../domain/Task.ts"
import { TaskLedger } from "./TaskLedger.ts"

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const ledger = yield* TaskLedger
    const workspaces = yield* Workspaces
    const isOver = (task: string) =>
      ledger.get(task).pipe(
        Effect.map(({ state }) => isFinal(state)),
        Effect.catchTags({
          // It has ended so long ago that it was forgotten.
          TaskUnknown: () => Effect.succeed(true),
          LedgerUnusable: () => Effect.succeed(false)
        })
      )
    const changes = Stream.merge(yield* ledger.changes, yield* workspaces.changes)
    yield* Effect.andThen(
      workspaces.tidy(isOver),
      Stream.runForEach(changes, () => workspaces.tidy(isOver))
    ).pipe(Effect.forkScoped)
  })
)
