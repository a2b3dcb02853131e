/** The ledger as one would explain it to somebody: a list of tasks and what may be done with them. No storage, no time of its own. */
import type { TaskState } from "../../src/domain/Task.ts"

export interface Content {
  readonly type: string
  readonly prompt: string
  readonly agent: string | undefined
  readonly priority: number
  /** So long after it was submitted. */
  readonly delay: number
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
  turns: number
  text: string | undefined
  story: Array<string>
}

export type Answer = "ok" | "TaskUnknown" | "TaskConflict" | "AttemptSuperseded" | "TaskEnded"

const ended = (state: TaskState) => state === "succeeded" || state === "failed" || state === "cancelled"

export class LedgerModel {
  readonly tasks = new Map<string, ModelTask>()
  now = 0
  private places = 0

  submit(id: string, content: Content, again: boolean): Answer {
    const known = this.tasks.get(id)
    if (known === undefined) {
      const task: ModelTask = {
        ...content,
        id,
        state: "queued",
        attempt: 0,
        before: 0,
        holder: undefined,
        due: undefined,
        lease: undefined,
        place: ++this.places,
        since: this.now,
        submitted: this.now,
        turns: 0,
        text: undefined,
        story: []
      }
      this.tasks.set(id, task)
      this.begin(task)
      return "ok"
    }
    if (known.type !== content.type || known.prompt !== content.prompt || known.agent !== content.agent)
      return "TaskConflict"
    if (again && (known.state === "failed" || known.state === "cancelled")) {
      Object.assign(known, { before: known.attempt, turns: 0, text: undefined })
      this.begin(known)
    }
    return "ok"
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
    this.leave(task, "cancelled")
    task.text = ""
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
      const lane = `${task.type} ${task.agent}`
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
