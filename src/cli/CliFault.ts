/** How a command can end that is no error of the runtime. */
import { Schema } from "effect"

/** `run --once` is through, and not every task succeeded. The results have been printed. */
export class TasksFailed extends Schema.TaggedError<TasksFailed>("mister-smith/TasksFailed")("TasksFailed", {
  failed: Schema.Number
}) {}
