/**
 * A tree by domain (code, research, analysis, …): under one supervisor a dynamic supervisor for each domain, made when
 * the first child of that domain is asked for, each with a cap of its own.
 */
import { Effect, Semaphore } from "effect"
import type { Fault } from "../domain/Fault.ts"
import type { Child } from "./Child.ts"
import { SupervisorEnded } from "./ChildError.ts"
import * as DynamicSupervisor from "./DynamicSupervisor.ts"
import type * as Supervisor from "./Supervisor.ts"

export interface DomainsSpec extends DynamicSupervisor.DynamicSpec {
  /** Children of one domain at most. */
  readonly maxChildren: number
  /** Where a domain's cap is another. */
  readonly caps?: Readonly<Record<string, number>>
  /** Domains at most; a request for one more fails with `SupervisorFull`. Default 64. */
  readonly maxDomains?: number
}

export const start = Effect.fnUntraced(function* <R = never>(spec: DomainsSpec) {
  const { caps = {}, id, maxChildren, maxDomains = 64, maxRestarts = 3, within = "60 seconds", ...shared } = spec
  const current = new Map<string, Supervisor.Supervisor<R>>()
  const root = yield* DynamicSupervisor.start<R>({ id, maxRestarts, within, ...shared, maxChildren: maxDomains })
  // One at a time: two requests for a new domain must not both make it.
  const one = yield* Semaphore.make(1)
  const make = (domain: string) =>
    root.startChild(
      DynamicSupervisor.child<R>(
        { id: domain, maxRestarts, within, maxChildren: caps[domain] ?? maxChildren },
        (life) => void current.set(domain, life)
      )
    )
  /** The supervisor of a domain, made if there is none yet. */
  const of = (domain: string) =>
    Effect.gen(function* () {
      if (!current.has(domain)) yield* make(domain)
      const supervisor = current.get(domain)
      return supervisor ?? (yield* new SupervisorEnded({ supervisor: `${root.path}/${domain}` }))
    }).pipe(one.withPermits(1))
  return {
    path: root.path,
    ended: root.ended,
    of,
    startChild: (domain: string, child: Child<Fault, R>) =>
      Effect.flatMap(of(domain), (supervisor) => supervisor.startChild(child)),
    /** The domains there are. */
    domains: Effect.sync((): ReadonlyArray<string> => [...current.keys()])
  }
})
