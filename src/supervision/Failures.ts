/** The latest failures under one supervisor, oldest first; what a supervisor that gives up has to show. */
import type { Exit } from "effect"
import type { Fault } from "../domain/Fault.ts"
import { recordOf } from "./ExitReason.ts"
import type { FailureRecord } from "./SupervisionError.ts"

/** Failures kept. */
const CAPACITY = 32

export class Failures {
  private kept: Array<readonly [child: string, at: number, exit: Exit.Exit<void, Fault>]> = []
  private next = 0

  add(child: string, at: number, exit: Exit.Exit<void, Fault>): void {
    this.kept[this.next] = [child, at, exit]
    this.next = (this.next + 1) % CAPACITY
  }

  /** Made only when someone asks: most failures are never looked at. */
  get records(): ReadonlyArray<FailureRecord> {
    const oldestFirst = [...this.kept.slice(this.next), ...this.kept.slice(0, this.next)]
    return oldestFirst.map(([child, at, exit]) => recordOf(child, at, exit))
  }
}
