/**
 * A Fault is an error that knows how bad it is, what its supervisor should do about it, and what an operator can do.
 * The code that catches one does not guess: it reads these four properties. They are getters on the error classes, so
 * that they are not printed as data in every log line.
 */

export type Severity = "low" | "medium" | "high" | "critical"

/**
 * What cures it.
 * - `retry`: the same life can try again, now or later
 * - `restart`: end this life and begin another
 * - `escalate`: no restart can cure it; the parent must hear of it
 * - `reload`: the settings must be read again
 * - `circuit-breaker`: stop asking for a while
 * - `failover`: another instance should take over
 * - `ignore`: nothing is to be done to the one that failed; the failure concerns its task only
 */
export type Recovery = "retry" | "restart" | "escalate" | "reload" | "circuit-breaker" | "failover" | "ignore"

export interface Fault {
  readonly _tag: string
  readonly message: string
  readonly severity: Severity
  readonly recovery: Recovery
  /** Only real crashes and stalls do. A rate limit, a budget, a wait for a person and a user's stop never do. */
  readonly countsAgainstIntensity: boolean
  /** Where it ended an attempt at a task: may another attempt cure it? Not said: no. */
  readonly retriesTask?: boolean | undefined
  /** One sentence an operator can act on. */
  readonly hint?: string | undefined
}

/** What is the same for every error of a class. */
export interface Policy {
  readonly severity: Severity
  readonly recovery: Recovery
  /** Default false. */
  readonly countsAgainstIntensity?: boolean
  /** Default false. */
  readonly retriesTask?: boolean
  readonly hint?: string
}

/**
 * Gives a class of errors its policy, in a static block of the class. As getters on the prototype, so that the policy is
 * not printed as data in every log line.
 */
export const follow = (
  failure: { readonly prototype: Fault },
  { countsAgainstIntensity = false, hint, recovery, retriesTask = false, severity }: Policy
): void => {
  for (const [name, value] of Object.entries({ severity, recovery, countsAgainstIntensity, retriesTask, hint })) {
    // What depends on an error's data is a getter of its class.
    if (!Object.hasOwn(failure.prototype, name)) Object.defineProperty(failure.prototype, name, { get: () => value })
  }
}

/** The parts of a Fault that go into an event, a result or a log line. */
export interface FaultReport {
  readonly kind: string
  readonly message: string
  readonly severity: Severity
  readonly recovery: Recovery
  readonly hint?: string
}

export const report = (fault: Fault): FaultReport => ({
  kind: fault._tag,
  message: fault.message,
  severity: fault.severity,
  recovery: fault.recovery,
  ...(fault.hint === undefined ? {} : { hint: fault.hint })
})

/** True for any error that carries the properties of a Fault. */
export const isFault = (u: unknown): u is Fault =>
  typeof u === "object" && u !== null && "_tag" in u && "severity" in u && "recovery" in u && "message" in u

/** May another attempt at the task cure it? */
export const mayRetryTask = (fault: Fault): boolean => fault.retriesTask ?? false
