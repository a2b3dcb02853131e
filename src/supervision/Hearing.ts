/**
 * A clock that runs only while this process could hear others: it says something itself at intervals, and knows by its own
 * word coming back that all that was said before has reached it. Time in which its word did not come back, or in which it
 * stood still, is as if it had not passed; so nobody's silence is taken for what was its own deafness. Pure: it is told the
 * time, of a clock that nobody sets.
 */
export class Hearing {
  private passed = 0
  private mark: number
  private allowed: number
  private hears = true

  /** `allowed`: how long the next word may take to come back before it counts as having stood still. */
  constructor(now: number, allowed: number) {
    this.mark = now
    this.allowed = allowed
  }

  at(now: number): number {
    return this.passed + Math.min(Math.max(0, now - this.mark), this.allowed)
  }

  /** What comes now comes when it was said, near enough: it has not waited to be heard. */
  isClear(now: number): boolean {
    return this.hears && now - this.mark <= this.allowed
  }

  /** Its own word has come back. */
  back(now: number, allowed: number): void {
    this.passed = this.at(now)
    this.hears = true
    this.mark = now
    this.allowed = allowed
  }

  /** It has not. What has passed since the last time counts for nothing. */
  lost(now: number, allowed: number): void {
    this.hears = false
    this.mark = now
    this.allowed = allowed
  }
}
