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
  /** How long it may wait in the queue, and take in all. */
  readonly timeouts: { readonly queue?: number; readonly whole?: number }
  /** Is it done again every minute? */
  readonly often: boolean
  readonly after: ReadonlyArray<{ readonly task: string; readonly onFailure: "cancel" | "run" }>
}

/** Ten minutes of waiting count as one priority. */
const AGE = 600_000

export interface ModelTask extends Content {
  readonly id: string
  state: TaskState
  attempt: number
  before: number
  interruptions: number
  holder: string | undefined
  due: number | undefined
  /** The minute for which an occurrence is meant. */
  occurs: number | undefined
  beginBy: number | undefined
  endBy: number | undefined
  lease: number | undefined
  place: number
  since: number
  submitted: number
  waits: Set<string>
  turns: number
  text: string | undefined
  /** By somebody, which ends its series. */
  dropped: boolean
  story: Array<string>
}

export type Answer =
  | "ok"
  | "TaskUnknown"
  | "TaskConflict"
  | "TaskInvalid"
  | "AttemptSuperseded"
  | "TaskEnded"
  | "TaskNotDead"

export const inOrder = (needs: string) => [...new Set(needs)].sort().join("")

/** How often a task may be broken off. */
export const INTERRUPTIONS = 2

const ended = (state: TaskState) => ["succeeded", "failed", "cancelled", "dead"].includes(state)
const MINUTE = 60_000
const minuteAfter = (at: number) => (Math.floor(at / MINUTE) + 1) * MINUTE
const first = (id: string) => id.split("@")[0]
/** When its next date is. */
const next = ({ beginBy, due, endBy, lease }: ModelTask) =>
  Math.min(...[beginBy, due, endBy, lease].map((at) => at ?? Number.POSITIVE_INFINITY))
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
        known.budget !== content.budget ||
        known.often !== content.often
      )
        return "TaskConflict"
      else if (inOrder(known.needs) !== inOrder(content.needs)) return "TaskConflict"
    }
    const fresh = new Set(coming.keys())
    for (const [id] of batch) {
      const known = this.tasks.get(id)
      if (again && known !== undefined && failed(known.state) && !this.goesOn(known)) coming.set(id, known)
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
    this.live(coming, batch)
    return "ok"
  }

  /** They begin a life. */
  private live(coming: ReadonlyMap<string, Content>, batch: ReadonlyArray<readonly [string, Content]>): void {
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
        interruptions: 0,
        holder: undefined,
        due: undefined,
        occurs: undefined,
        beginBy: undefined,
        endBy: undefined,
        lease: undefined,
        place: 0,
        since: this.now,
        submitted: this.now,
        waits: new Set(),
        turns: 0,
        text: undefined,
        dropped: false,
        story: []
      }
      task.dropped = false
      this.tasks.set(id, task)
      Object.assign(task, { before: task.attempt, interruptions: 0, turns: 0, text: undefined })
      const state = (other: string) => (coming.has(other) ? "queued" : (this.tasks.get(other)?.state ?? "succeeded"))
      task.waits = new Set(task.after.map(({ task }) => task).filter((other) => !ended(state(other))))
      if (task.after.some(({ onFailure, task }) => onFailure === "cancel" && failed(state(task)))) doomed.push(task)
      if (task.often) task.occurs ??= minuteAfter(task.delay === 0 ? this.now : this.now + task.delay - 1)
      const since = Math.max(this.now, task.occurs ?? 0)
      task.endBy = task.timeouts.whole === undefined ? undefined : since + task.timeouts.whole
      if (task.waits.size > 0 || doomed.includes(task)) this.leave(task, "parked")
      else this.begin(task)
    }
    for (const task of doomed) if (!ended(task.state)) this.endAll(task)
  }

  /** Cancelled, and with it those that wait for it. */
  private endAll(task: ModelTask): void {
    this.leave(task, "cancelled")
    task.text = ""
    task.waits.clear()
    this.end([task])
  }

  /** Is another of its series open? */
  private goesOn({ id, often }: ModelTask): boolean {
    return often && [...this.tasks.values()].some((other) => first(other.id) === first(id) && !ended(other.state))
  }

  private follow(over: ModelTask): void {
    if (!over.often || over.dropped || this.goesOn(over)) return
    let at = minuteAfter(Math.max(this.now, over.occurs ?? 0))
    const id = () => `${first(over.id)}@${new Date(at).toISOString().replace(/[-:]|\.000/g, "")}`
    while (this.tasks.has(id())) at = minuteAfter(at)
    const { whole } = over.timeouts
    this.tasks.set(id(), {
      ...over,
      id: id(),
      after: [],
      delay: 0,
      state: "parked",
      attempt: 0,
      before: 0,
      interruptions: 0,
      holder: undefined,
      due: at,
      occurs: at,
      endBy: whole === undefined ? undefined : at + whole,
      submitted: this.now,
      waits: new Set(),
      turns: 0,
      text: undefined,
      story: []
    })
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
      this.follow(over)
    }
  }

  claim(id: string, agent: string, lease: number | undefined): Answer {
    const task = this.tasks.get(id)
    if (task === undefined) return "TaskUnknown"
    if (task.state !== "queued") return "AttemptSuperseded"
    task.state = "running"
    task.beginBy = undefined
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
    task.beginBy = undefined
    if (!ended(state)) return
    task.endBy = undefined
    task.waits.clear()
  }

  /** A life of it. */
  private begin(task: ModelTask): void {
    const due = task.occurs ?? task.submitted + task.delay
    if (due <= this.now) this.queue(task)
    else {
      this.leave(task, "parked")
      task.due = due
    }
  }

  private queue(task: ModelTask): void {
    this.leave(task, "queued")
    if (task.attempt === task.before && task.timeouts.queue !== undefined) task.beginBy = this.now + task.timeouts.queue
    task.place = ++this.places
    task.since = this.now
  }

  complete(id: string, attempt: number, state: "succeeded" | "failed" | "dead", text: string, turns: number): Answer {
    return this.held(id, attempt, (task) => {
      this.leave(task, state)
      task.text = text
      task.turns = turns
      this.end([task])
    })
  }

  /** It was not its own fault, but only so often. */
  private breakOff(task: ModelTask, until: number): void {
    if (++task.interruptions > INTERRUPTIONS) {
      this.leave(task, "dead")
      task.text = ""
      this.end([task])
    } else this.pause(task, until)
  }

  park(id: string, attempt: number, until: number, turns: number, interrupted: boolean): Answer {
    return this.held(id, attempt, (task) => {
      task.turns = turns
      if (interrupted) this.breakOff(task, until)
      else this.pause(task, until)
    })
  }

  private pause(task: ModelTask, until: number): void {
    if (until <= this.now) this.queue(task)
    else {
      this.leave(task, "parked")
      task.due = until
    }
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
    const others = task.often
      ? [...this.tasks.values()].filter((other) => first(other.id) === first(id) && !ended(other.state))
      : [task]
    for (const other of [task, ...others]) {
      if (ended(other.state)) continue
      other.dropped = true
      this.endAll(other)
    }
    return "ok"
  }

  private dead(id: string, then: (task: ModelTask) => void): Answer {
    const task = this.tasks.get(id)
    if (task === undefined) return "TaskUnknown"
    if (task.state !== "dead") return "TaskNotDead"
    then(task)
    return "ok"
  }

  replay(id: string): Answer {
    return this.dead(id, (task) => this.live(new Map([[id, task]]), [[id, task]]))
  }

  drop(id: string): Answer {
    return this.dead(id, (task) => {
      task.state = "cancelled"
    })
  }

  recover(): void {
    for (const task of this.tasks.values())
      if (task.state === "running" && task.lease === undefined) this.breakOff(task, this.now)
  }

  advance(millis: number): void {
    const then = this.now + millis
    // Each at its time, as it passes.
    while (true) {
      const [task] = [...this.tasks.values()].sort((a, b) => next(a) - next(b))
      if (task === undefined || next(task) > then) break
      this.now = next(task)
      if (task.endBy === this.now || task.beginBy === this.now) {
        this.leave(task, "failed")
        task.text = ""
        this.end([task])
      } else if (task.state === "running") this.breakOff(task, this.now)
      else this.queue(task)
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
