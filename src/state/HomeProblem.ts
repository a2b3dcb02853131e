/** What can go wrong with the home of a ledger or of states, be it a file or a bucket on NATS servers, and what an operator can do about it. */
import { Schema } from "effect"
import { type Fault, follow, type Recovery, type Severity } from "../domain/Fault.ts"
import * as Database from "./DatabaseError.ts"

export const HomeProblem = Schema.Literals([
  ...Database.Problem.literals,
  "unreachable",
  "denied",
  "noRoom",
  "tooLarge",
  "differs",
  "contended",
  "nameTaken"
])
export type HomeProblem = typeof HomeProblem.Type

interface Cure {
  readonly severity: Severity
  readonly recovery: Recovery
  readonly hint: string
}

const cures: Readonly<Record<HomeProblem, Cure>> = {
  ...Database.cures,
  unreachable: {
    severity: "high",
    recovery: "retry",
    hint: "see that the NATS servers run with JetStream, and that most replicas are there; it is tried again, and what was accepted before is safe"
  },
  denied: {
    severity: "critical",
    recovery: "escalate",
    hint: "give this node's user the permissions that docs/nats.md lists for the ledger, and JetStream to its account"
  },
  noRoom: {
    severity: "critical",
    recovery: "retry",
    hint: "raise the bucket's max_bytes or the server's JetStream storage, or drop dead letters; what was accepted before is safe, and what could not be written is tried again"
  },
  tooLarge: {
    severity: "high",
    recovery: "ignore",
    hint: "make it smaller, submit in smaller batches, or raise the servers' max_payload"
  },
  differs: {
    severity: "critical",
    recovery: "escalate",
    hint: "nothing was changed: change the stream with `nats stream edit`, or remove the settings here that it should not have"
  },
  contended: {
    severity: "high",
    recovery: "retry",
    hint: "other nodes write the same tasks again and again: see their logs; it is tried again"
  },
  nameTaken: {
    severity: "critical",
    recovery: "escalate",
    hint: "give each node a fleet.node of its own; a node that was taken for dead while it hung is to be started anew"
  }
}

const said: Readonly<Record<HomeProblem, string>> = {
  ...Database.said,
  unreachable: "cannot be reached",
  denied: "may not be used",
  noRoom: "cannot grow: its storage is full",
  tooLarge: "cannot hold this: it is too large",
  differs: "is set up otherwise than it should be",
  contended: "is written by others all the time",
  nameTaken: "knows another node by this name"
}

/** As the end of a sentence that begins with the home. */
export const say = (problem: HomeProblem): string => said[problem]

/** Gives a class of errors that has a problem what is to be done about it. */
export const cure = (failure: { readonly prototype: Fault & { readonly problem: HomeProblem } }): void => {
  for (const name of ["severity", "recovery", "hint"] as const) {
    Object.defineProperty(failure.prototype, name, {
      get(this: { readonly problem: HomeProblem }) {
        return cures[this.problem][name]
      }
    })
  }
  follow(failure, { severity: "critical", recovery: "escalate" })
}
