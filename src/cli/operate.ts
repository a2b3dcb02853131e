/** Lets other commands reach the node that `run` has started. One that cannot be reached works all the same. */
import { Cause, Effect } from "effect"
import * as AdminServer from "../admin/AdminServer.ts"
import { Operated } from "../admin/Operated.ts"
import type { Config } from "../config/Config.ts"
import { Fleet } from "../fleet/Fleet.ts"
import { MisterSmith } from "../MisterSmith.ts"
import { inModule } from "../observability/Log.ts"
import type { Reload } from "./Reloading.ts"

export const operate = Effect.fn("cli.operate")(function* ({ dataDir, name }: Config, reload: Reload) {
  const smith = yield* MisterSmith
  const { nodes } = yield* Fleet
  const operated = Operated.of({ ...smith, nodes, tasks: smith.tasksWhere, reload })
  yield* AdminServer.serve({ dataDir, name, standing: smith.standing }).pipe(
    Effect.provideService(Operated, operated),
    Effect.catchTag("SocketUnusable", ({ hint, message }) =>
      inModule("admin")(Effect.logWarning(`${message} (hint: ${hint})`))
    ),
    // Nobody waits for this fiber, so nobody else would tell of it.
    Effect.tapCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : inModule("admin")(Effect.logError("this node cannot be operated, please report it", cause))
    )
  )
})
