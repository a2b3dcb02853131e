/**
 * What an earlier life of this node has left is put in order before any work is given out: from facts (the process table,
 * the ledger, the disk, git), never from what somebody remembers. It can be killed at any point and begun again.
 */
import { Effect } from "effect"
import { Workspaces } from "../agent/Workspace.ts"
import { Inputs } from "./Inputs.ts"
import { TaskLedger } from "./TaskLedger.ts"

export const recover = Effect.fn("Recovery.recover")(function* () {
  const ledger = yield* TaskLedger
  const inputs = yield* Inputs
  const workspaces = yield* Workspaces

  // 1. Processes: nothing of an earlier life is alive. process/ProcessHost.ts has swept before anybody could start one.

  // 2. Tasks: what was running goes back to the queue with its attempt counted, or is given up where that has happened too
  //    often; what was done stays done.
  yield* ledger.recover

  // 3. Input files: half copies and those of tasks that are over are removed, also from workspaces.
  yield* inputs.recover

  // 4. Workspaces: what was half made or half removed is finished or undone.
  yield* workspaces.recover

  // 5. Conversations: each agent has read at its start which one it holds (agent/Sessions.ts), so that its task goes back to
  //    it. Whether the transcript is there is looked at when it does.
})
