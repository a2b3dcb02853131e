/**
 * How suspicious a silence is, judged by the rhythm of the heartbeats before it (Hayashibara et al., "The phi accrual
 * failure detector"). Phi 1 means that about one silence in ten is as long as this one, phi 8 one in a hundred million.
 * Pure: it is told the time and keeps none. The normal distribution is approximated by a logistic one, which is exact
 * enough far out, where it matters.
 */
export interface PhiSettings {
  /** heartbeats remembered */
  readonly window: number
  /** Below this the spread is not believed: a very even rhythm must not make a small delay suspicious. */
  readonly minDeviationMillis: number
  /** A silence this much longer than usual is not held against it. */
  readonly acceptablePauseMillis: number
  /** What is expected before there is a rhythm. */
  readonly firstEstimateMillis: number
}

export class PhiAccrual {
  private readonly settings: PhiSettings
  private readonly intervals: Array<number> = []
  private next = 0
  private sum = 0
  private squares = 0
  private last: number

  constructor(settings: PhiSettings, now: number) {
    this.settings = settings
    this.last = now
    // Two made-up intervals around the estimate, so that the first judgement has a mean and a spread.
    const { firstEstimateMillis: estimate } = settings
    this.add(estimate - estimate / 4)
    this.add(estimate + estimate / 4)
  }

  beat(now: number): void {
    this.add(Math.max(0, now - this.last))
    this.last = now
  }

  silenceMillis(now: number): number {
    return now - this.last
  }

  phi(now: number): number {
    const count = this.intervals.length
    const mean = this.sum / count
    const variance = Math.max(0, this.squares / count - mean * mean)
    const deviation = Math.max(Math.sqrt(variance), this.settings.minDeviationMillis)
    const y = (this.silenceMillis(now) - mean - this.settings.acceptablePauseMillis) / deviation
    const power = y * (1.5976 + 0.070566 * y * y)
    // -log10 of the chance of a longer silence, 1 / (1 + e^power), written so that it cannot overflow.
    return power > 30 ? power / Math.LN10 : Math.log1p(Math.exp(power)) / Math.LN10
  }

  private add(interval: number): void {
    const old = this.intervals[this.next]
    if (old !== undefined) {
      this.sum -= old
      this.squares -= old * old
    }
    this.intervals[this.next] = interval
    this.next = (this.next + 1) % Math.max(2, this.settings.window)
    this.sum += interval
    this.squares += interval * interval
  }
}
