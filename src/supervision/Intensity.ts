/**
 * The sliding window over a supervisor's restarts. A restart is allowed while no more than `maxRestarts` of them lie
 * within the window, the new one included; one that is exactly as old as the window still lies in it, as in OTP.
 * Holds at most `maxRestarts + 1` times, and only those within the window.
 */
export class Intensity {
  private times: Array<number> = []
  private oldest = 0
  private readonly maxRestarts: number
  private readonly withinMillis: number

  constructor(maxRestarts: number, withinMillis: number) {
    this.maxRestarts = maxRestarts
    this.withinMillis = withinMillis
  }

  /** Counts a restart at `now` (monotonic milliseconds) and says whether it is allowed. */
  allows(now: number): boolean {
    if (this.maxRestarts === Number.POSITIVE_INFINITY) return true
    this.times.push(now)
    while ((this.times[this.oldest] as number) < now - this.withinMillis) this.oldest++
    // A queue over an array: the dead front is cut off once it is the larger part, so each time is moved once at most.
    if (this.oldest > 32 && this.oldest * 2 > this.times.length) {
      this.times = this.times.slice(this.oldest)
      this.oldest = 0
    }
    return this.inWindow <= this.maxRestarts
  }

  get inWindow(): number {
    return this.times.length - this.oldest
  }
}
