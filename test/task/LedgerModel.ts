/** The ledger as one would explain it to somebody: a list of tasks and what may be done with them. No storage, no time of its own. */
import type { TaskState } from "../../src/domain/Task.ts"

export interface Content {
  readonly type: string
  readonly prompt: string
  readonly agent: string | undefined
  /** What it requires, as it was written: a letter each, the same ones in another order are the same. */
  readonly needs: string
  readonly priority: number
  /** Which bound, and which label: the one makes another task, the other does not. */
  readonly budget: number | undefined
  readonly label: string | undefined
  /** So long after it was submitted. */
  readonly delay: number
  readonly after: ReadonlyArray<{ readonly task: string; readonly onFailure: "cancel" | "run" }>
}

/** Ten minutes of waiting count as one priority. */
const AGE = 600_000

export interface ModelTask extends Content {
  readonly id: string
  state: TaskState
  attempt: number
  before: number
  holder: string | undefined
  due: number | undefined
  lease: number | undefined
  place: number
  since: number
  submitted: number
  waits: Set<string>
  turns: number
  text: string | undefined
  story: Array<string>
}

export type Answer = "ok" | "TaskUnknown" | "TaskConflict" | "TaskInvalid" | "AttemptSuperseded" | "TaskEnded"

export const inOrder = (needs: string) => [...new Set(needs)].sort().join("")

const ended = (state: TaskState) => state === "succeeded" || state === "failed" || state === "cancelled"
const failed = (state: TaskState) => ended(state) && state !== "succeeded"

export class LedgerModel {
  readonly tasks = new Map<string, ModelTask>()
  now = 0
  private places = 0

  submit(batch: ReadonlyArray<readonly [id: string, content: Content]>, again: boolean): Answer {
    const coming = new Map<string, Content>()
    for (const [id, content] of batch) {
      const known = this.tasks.get(id) ?? coming.get(id)
      if (known === undefined) coming.set(id, content)
      else if (
        known.type !== content.type ||
        known.prompt !== content.prompt ||
        known.agent !== content.agent ||
        known.budget !== content.budget
      )
        return "TaskConflict"
      else if (inOrder(known.needs) !== inOrder(content.needs)) return "TaskConflict"
    }
    const fresh = new Set(coming.keys())
    for (const [id] of batch) {
      const known = this.tasks.get(id)
      if (again && known !== undefined && failed(known.state)) coming.set(id, known)
    }
    for (const [id, { after }] of coming)
      if (fresh.has(id) && after.some(({ task }) => !coming.has(task) && !this.tasks.has(task))) return "TaskInvalid"
    // Who waits for none of those that are left may leave; who cannot is in a circle or behind one.
    const left = new Set(coming.keys())
    while (true) {
      const free = [...left].filter((id) => !coming.get(id)?.after.some(({ task }) => left.has(task)))
      if (free.length === 0) break
      for (const id of free) left.delete(id)
    }
    if (left.size > 0) return "TaskInvalid"
    const doomed: Array<ModelTask> = []
    for (const id of new Set(batch.map(([id]) => id))) {
      const content = coming.get(id)
      if (content === undefined) continue
      const known = this.tasks.get(id)
      const task: ModelTask = known ?? {
        ...content,
        id,
        state: "queued",
        attempt: 0,
        before: 0,
        holder: undefined,
        due: undefined,
        lease: undefined,
        place: 0,
        since: this.now,
        submitted: this.now,
        waits: new Set(),
        turns: 0,
        text: undefined,
        story: []
      }
      this.tasks.set(id, task)
      Object.assign(task, { before: task.attempt, turns: 0, text: undefined })
      const state = (other: string) => (coming.has(other) ? "queued" : (this.tasks.get(other)?.state ?? "succeeded"))
      task.waits = new Set(task.after.map(({ task }) => task).filter((other) => !ended(state(other))))
      if (task.after.some(({ onFailure, task }) => onFailure === "cancel" && failed(state(task)))) doomed.push(task)
      if (task.waits.size > 0 || doomed.includes(task)) this.leave(task, "parked")
      else this.begin(task)
    }
    for (const task of doomed) if (!ended(task.state)) this.drop(task)
    return "ok"
  }

  /** Cancelled, and with it those that wait for it. */
  private drop(task: ModelTask): void {
    this.leave(task, "cancelled")
    task.text = ""
    task.waits.clear()
    this.end([task])
  }

  private end(ends: Array<ModelTask>): void {
    for (const over of ends) {
      for (const task of this.tasks.values()) {
        if (!task.waits.delete(over.id)) continue
        if (failed(over.state) && task.after.some((edge) => edge.task === over.id && edge.onFailure === "cancel")) {
          this.leave(task, "cancelled")
          task.text = ""
          task.waits.clear()
          ends.push(task)
        } else if (task.waits.size === 0) this.begin(task)
      }
    }
  }

  claim(id: string, agent: string, lease: number | undefined): Answer {
    const task = this.tasks.get(id)
    if (task === undefined) return "TaskUnknown"
    if (task.state !== "queued") return "AttemptSuperseded"
    task.state = "running"
    task.attempt++
    task.holder = agent
    task.lease = lease === undefined ? undefined : this.now + lease
    task.story.push(`${agent} …`)
    return "ok"
  }

  private held(id: string, attempt: number, then: (task: ModelTask) => void): Answer {
    const task = this.tasks.get(id)
    if (task === undefined) return "TaskUnknown"
    if (task.state !== "running" || task.attempt !== attempt) return "AttemptSuperseded"
    then(task)
    return "ok"
  }

  private leave(task: ModelTask, state: TaskState): void {
    if (task.state === "running") task.story.push(`${(task.story.pop() ?? "").split(" ")[0]} ${state}`)
    task.state = state
    task.lease = undefined
    task.due = undefined
  }

  /** A life of it. */
  private begin(task: ModelTask): void {
    const due = task.submitted + task.delay
    if (due <= this.now) this.queue(task)
    else {
      this.leave(task, "parked")
      task.due = due
    }
  }

  private queue(task: ModelTask): void {
    this.leave(task, "queued")
    task.place = ++this.places
    task.since = this.now
  }

  complete(id: string, attempt: number, state: "succeeded" | "failed", text: string, turns: number): Answer {
    return this.held(id, attempt, (task) => {
      this.leave(task, state)
      task.text = text
      task.turns = turns
      this.end([task])
    })
  }

  park(id: string, attempt: number, until: number, turns: number): Answer {
    return this.held(id, attempt, (task) => {
      task.turns = turns
      if (until <= this.now) return this.queue(task)
      this.leave(task, "parked")
      task.due = until
    })
  }

  renew(id: string, attempt: number, lease: number): Answer {
    return this.held(id, attempt, (task) => {
      task.lease = this.now + lease
    })
  }

  cancel(id: string): Answer {
    const task = this.tasks.get(id)
    if (task === undefined) return "TaskUnknown"
    if (ended(task.state)) return "TaskEnded"
    this.drop(task)
    return "ok"
  }

  recover(): void {
    for (const task of this.tasks.values()) if (task.state === "running" && task.lease === undefined) this.queue(task)
  }

  advance(millis: number): void {
    this.now += millis
    const due = [...this.tasks.values()].filter(({ due, lease }) => (due ?? lease ?? this.now + 1) <= this.now)
    // Each at its time, as it passes.
    const then = this.now
    for (const task of due.sort((a, b) => (a.due ?? a.lease ?? 0) - (b.due ?? b.lease ?? 0))) {
      this.now = task.due ?? task.lease ?? then
      this.queue(task)
    }
    this.now = then
  }

  heads(passOver: ReadonlyArray<string>): ReadonlyArray<string> {
    const lanes = new Map<string, ModelTask>()
    for (const task of this.queued()) {
      const lane = `${task.type} ${task.agent} ${inOrder(task.needs)}`
      const begun = task.attempt > task.before
      if (!lanes.has(lane) && !(begun && passOver.includes(task.id))) lanes.set(lane, task)
    }
    return [...lanes.values()].sort(byTurn).map(({ id }) => id)
  }

  interrupted(ids: ReadonlyArray<string>): ReadonlyArray<string> {
    return this.queued()
      .filter(({ attempt, before, id }) => attempt > before && ids.includes(id))
      .map(({ id }) => id)
  }

  private queued(): ReadonlyArray<ModelTask> {
    return [...this.tasks.values()].filter(({ state }) => state === "queued").sort(byTurn)
  }
}

const byTurn = (a: ModelTask, b: ModelTask) =>
  Number(b.attempt > b.before) - Number(a.attempt > a.before) ||
  a.since - a.priority * AGE - (b.since - b.priority * AGE) ||
  a.place - b.place
