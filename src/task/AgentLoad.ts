/**
 * What each agent has been given and how it went: what strategies go by. Bounded by the number of agents, and what is
 * remembered of labels by a number of them. Knows no clock: whoever tells it something says when.
 *
 * `latency` is Finagle's peak EWMA (com.twitter.finagle.loadbalancer.PeakEwma): what is slower than the average is the
 * average at once; what is quicker moves it by 1 - w, w = e^(-Δt/τ) with Δt the time since the last observation. It
 * falls towards nothing while nothing is observed, so that who was slow is tried again. `failures` is the same of ones
 * (failed) and noughts.
 */

/** An agent at one moment, as far as its work tells. */
export interface AgentLoad {
  /** Tasks in all. */
  readonly given: number
  /** Tasks lately: each counts less the longer it is ago. */
  readonly lately: number
  /** The share of time that it was busy lately, from 0 to 1. */
  readonly busy: number
  /** Tasks that it has now. */
  readonly inFlight: number
  /** The peak EWMA of how long its attempts took, in milliseconds. */
  readonly latency: number
  /** The same of failures, from 0 to 1. */
  readonly failures: number
  /** When it was last given one, counted in tasks given by this node; 0: never. */
  readonly turn: number
}

/** Labels of which the last agent is known; the one not seen for longest goes first. */
export const MAX_LABELS = 10_000

export const fresh: AgentLoad = { given: 0, lately: 0, busy: 0, inFlight: 0, latency: 0, failures: 0, turn: 0 }

interface Observed extends AgentLoad {
  /** Up to when all of it counts. */
  readonly at: number
  /** When what it has now was given. */
  readonly since: number
}

/** A peak EWMA takes the worse at once and the better slowly. */
const peak = (average: number, seen: number, weight: number) =>
  seen > average ? seen : average * weight + seen * (1 - weight)

export class AgentLoads {
  private readonly agents = new Map<string, Observed>()
  private readonly labels = new Map<string, string>()
  private readonly decayMillis: number
  private turns = 0

  /** `decayMillis` is the τ of all averages. */
  constructor(decayMillis: number) {
    this.decayMillis = decayMillis
  }

  private weight(millis: number): number {
    return Math.exp(-Math.max(0, millis) / this.decayMillis)
  }

  /** As it is now; asking changes nothing. */
  of(agent: string, now: number): AgentLoad {
    const { at: _at, since: _since, ...load } = this.now(agent, now)
    return load
  }

  private now(agent: string, now: number): Observed {
    const last = this.agents.get(agent)
    if (last === undefined) return { ...fresh, at: now, since: now }
    const at = Math.max(now, last.at)
    const weight = this.weight(at - last.at)
    return {
      ...last,
      at,
      lately: last.lately * weight,
      busy: last.busy * weight + (last.inFlight > 0 ? 1 - weight : 0),
      latency: last.latency * weight,
      failures: last.failures * weight
    }
  }

  given(agent: string, label: string | undefined, now: number): void {
    const load = this.now(agent, now)
    this.agents.set(agent, {
      ...load,
      given: load.given + 1,
      lately: load.lately + 1,
      inFlight: load.inFlight + 1,
      turn: ++this.turns,
      since: load.at
    })
    if (label === undefined) return
    // Said anew, it is the youngest of the Map.
    this.labels.delete(label)
    this.labels.set(label, agent)
    for (const oldest of this.labels.keys()) {
      if (this.labels.size <= MAX_LABELS) break
      this.labels.delete(oldest)
    }
  }

  /** How its attempt ended. One that was broken off says nothing of the agent. */
  ended(agent: string, how: "succeeded" | "failed" | "broken off", now: number): void {
    const last = this.agents.get(agent)
    if (last === undefined || last.inFlight === 0) return
    const load = this.now(agent, now)
    const left = { ...load, inFlight: load.inFlight - 1 }
    if (how === "broken off") return void this.agents.set(agent, left)
    const failed = how === "failed" ? 1 : 0
    // Decayed already up to now: what is left to do is to take in what was seen.
    const weight = this.weight(load.at - last.at)
    this.agents.set(agent, {
      ...left,
      latency: peak(last.latency, load.at - load.since, weight),
      failures: peak(last.failures, failed, weight)
    })
  }

  /** Who last worked for a label. */
  worksFor(label: string): string | undefined {
    return this.labels.get(label)
  }
}
