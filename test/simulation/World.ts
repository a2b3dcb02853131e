/**
 * What is outside of a simulated node and outlives it: its disk, the CLIs that run, what they have really done, and the
 * faults that befall all of it.
 */

import { inMemory } from "../../src/state/StateStore.ts"
import type { Cli } from "./Cli.ts"
import { Dice } from "./Dice.ts"

/** The runtime is dead: whatever of it still runs reaches nothing any more. */
export class Dead extends Error {
  override message = "this life is over"
}

export class World {
  readonly dice: Dice
  /** Path to text. */
  readonly files = new Map<string, string>()
  readonly clis = new Set<Cli>()
  /** Tasks of which a CLI has said that they are done. */
  readonly said = new Set<string>()
  readonly trace: Array<string> = []
  readonly violations: Array<string> = []
  readonly counts: Record<string, number> = {}
  /** Which life of the runtime this is. */
  life = 0
  /** Small things that outlive a life. */
  readonly state = inMemory()
  /** It has been killed, at this point. */
  killed: string | undefined
  /** Does anything go wrong? */
  faults = true
  /** By how much the clock on the wall is wrong, in milliseconds. */
  skew = 0
  pids = 1000
  now: () => number = () => 0

  constructor(seed: number) {
    this.dice = new Dice(seed)
  }

  note(what: string): void {
    this.trace.push(`${this.now()} ${what}`)
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }

  violated(what: string): void {
    this.note(`VIOLATION ${what}`)
    this.violations.push(what)
  }

  isAlive(life: number): boolean {
    return life === this.life && this.killed === undefined
  }

  /** A place where the runtime may be killed: before and after everything that others see. */
  mayDie(life: number, point: string): void {
    if (!this.isAlive(life)) throw new Dead()
    if (this.faults && this.dice.chance(0.004)) this.kill(point)
    if (!this.isAlive(life)) throw new Dead()
  }

  /** SIGKILL. The guardian ends the CLIs. */
  kill(point: string): void {
    if (this.killed !== undefined) return
    this.killed = point
    this.note(`KILLED ${point}`)
    this.count("kills")
    for (const cli of [...this.clis]) cli.die(null, "SIGKILL")
  }
}
