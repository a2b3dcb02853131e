/**
 * Submits tasks to a node that dies and comes back, as a program of somebody else's would: one after the other, each again
 * and again until it was answered, and some that were answered once more. Writes the id of a task into a file when the
 * answer has come, never before.
 *
 * `submitter.ts DATA_DIR TASKS_FILE ACKNOWLEDGED_FILE SEED`. A number on stdin says how many of them may be submitted by
 * now; it ends when all are.
 */
import { appendFileSync, readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { ask } from "./Node.ts"
import type { PlannedTask } from "./Plan.ts"
import * as Random from "./Random.ts"

const [dataDir = "", tasksFile = "", acknowledged = "", seed = ""] = process.argv.slice(2)
const tasks = JSON.parse(readFileSync(tasksFile, "utf8")) as ReadonlyArray<PlannedTask>
const random = Random.make(Number(seed))
/** Before who was not answered asks again, in milliseconds. */
const AGAIN = 20

let allowed = 0
let wake = () => {}
createInterface({ input: process.stdin }).on("line", (line) => {
  allowed = Number(line)
  wake()
})

const pause = () => new Promise((resolve) => setTimeout(resolve, AGAIN))

const submit = async (task: PlannedTask) => {
  while (true) {
    const answer = await ask(dataDir, "POST", "/tasks", task)
    if (answer?.status === 200) {
      const { id } = answer.body as { readonly id?: string }
      if (id !== task.id) throw new Error(`${task.id} was answered with ${id}`)
      return
    }
    // Nobody there, or a node that is just coming or going.
    if (answer !== undefined && answer.status < 500)
      throw new Error(`${task.id} was refused: ${JSON.stringify(answer)}`)
    await pause()
  }
}

for (const [index, task] of tasks.entries()) {
  while (index >= allowed) {
    await new Promise<void>((resolve) => {
      wake = resolve
    })
  }
  await submit(task)
  appendFileSync(acknowledged, `${task.id}\n`)
  const earlier = tasks[random.between(0, index)]
  if (earlier !== undefined && random.chance(0.2)) await submit(earlier)
}
process.exit(0)
