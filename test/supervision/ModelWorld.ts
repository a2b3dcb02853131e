/** What the model of a supervisor is told, and the time and the notebook it shares with the models inside it. */

export type Fault = "counted" | "uncounted" | "escalate" | "defect"
export type Ending = Fault | "normal" | "stopped"
export type StartOutcome = "ready" | "ignored" | Fault

interface Common {
  readonly id: string
  readonly restart: "permanent" | "transient" | "temporary"
  readonly significant: boolean
  /** milliseconds; doubles each time up to 8 times itself, forgotten after a run of 10 times itself */
  readonly backoff: number | undefined
}
export interface Leaf extends Common {
  /** how its first, second, … start goes; all later ones are `ready` */
  readonly starts: ReadonlyArray<StartOutcome>
}
export interface Tree extends Common {
  readonly strategy: "one_for_one" | "one_for_all" | "rest_for_one" | "escalate"
  readonly maxRestarts: number
  readonly within: number
  readonly autoShutdown: "never" | "any_significant" | "all_significant"
  readonly children: ReadonlyArray<Leaf | Tree>
}

export class World {
  now = 0
  readonly log: Array<string> = []
  readonly lives = new Map<string, number>()
  timers: Array<{ readonly due: number; readonly run: () => void }> = []

  after(millis: number, run: () => void): () => void {
    const timer = { due: this.now + millis, run }
    this.timers.push(timer)
    return () => {
      this.timers = this.timers.filter((other) => other !== timer)
    }
  }

  advance(millis: number): void {
    const end = this.now + millis
    while (true) {
      // Array.sort is stable: timers due at the same time run in the order they were set.
      const [next] = this.timers.filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)
      if (next === undefined) break
      this.timers = this.timers.filter((timer) => timer !== next)
      this.now = next.due
      next.run()
    }
    this.now = end
  }
}
