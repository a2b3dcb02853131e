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
  /** The last sign of life of any kind. */
  private heard: number

  constructor(settings: PhiSettings, now: number) {
    this.settings = settings
    this.last = now
    this.heard = now
    // Two made-up intervals around the estimate, so that the first judgement has a mean and a spread.
    const { firstEstimateMillis: estimate } = settings
    this.add(estimate - estimate / 4)
    this.add(estimate + estimate / 4)
  }

  beat(now: number): void {
    this.add(Math.max(0, now - this.last))
    this.last = now
    this.heard = Math.max(this.heard, now)
  }

  /** It lives, but this says nothing about its rhythm. `anew`: nor does how long it is until the next heartbeat. */
  sign(now: number, anew = false): void {
    this.heard = Math.max(this.heard, now)
    if (anew) this.last = Math.max(this.last, now)
  }

  silenceMillis(now: number): number {
    return now - this.heard
  }

  phi(now: number): number {
    const { deviation, mean } = this.rhythm()
    return phiOf((this.silenceMillis(now) - mean - this.settings.acceptablePauseMillis) / deviation)
  }

  /** The silence at which phi will be so much. */
  silenceAt(phi: number): number {
    const { deviation, mean } = this.rhythm()
    return Math.max(0, mean + this.settings.acceptablePauseMillis + deviation * deviationsAt(phi))
  }

  private rhythm() {
    const count = this.intervals.length
    const mean = this.sum / count
    const variance = Math.max(0, this.squares / count - mean * mean)
    return { mean, deviation: Math.max(Math.sqrt(variance), this.settings.minDeviationMillis) }
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

/** Of a silence that is so many deviations longer than usual. */
const phiOf = (deviations: number): number => {
  const power = deviations * (1.5976 + 0.070566 * deviations * deviations)
  // -log10 of the chance of a longer silence, 1 / (1 + e^power), written so that it cannot overflow.
  return power > 30 ? power / Math.LN10 : Math.log1p(Math.exp(power)) / Math.LN10
}

/** No silence is judged by more than so many deviations. */
const FURTHEST = 1_000

/** From how many deviations on a silence has this phi. */
export const deviationsAt = (phi: number): number => {
  let [below, above] = [-FURTHEST, FURTHEST]
  // What halving can no longer tell apart is the same.
  for (let tries = 0; tries < 64; tries++) {
    const middle = (below + above) / 2
    if (phiOf(middle) < phi) below = middle
    else above = middle
  }
  return above
}
