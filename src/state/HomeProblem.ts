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
  "nameTaken",
  "missing",
  "incomplete",
  "refused",
  "defect"
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
  },
  missing: {
    severity: "critical",
    recovery: "retry",
    hint: "no node that runs makes a deleted stream again: restore a backup of it, or start one node anew, which makes it; docs/nats.md says what comes back by that, and it is tried again"
  },
  incomplete: {
    severity: "high",
    recovery: "retry",
    hint: "a node that has known the task puts back what is missing: see that all run; else give the task up with `nats kv del` of the key that is named, and submit it again"
  },
  refused: {
    severity: "critical",
    recovery: "escalate",
    hint: "the server's own words say why it does not take this: compare its settings and its account's limits with docs/nats.md; what was accepted before is safe"
  },
  defect: {
    severity: "critical",
    recovery: "escalate",
    hint: "this is a mistake in MisterSmith, and no waiting cures it: report these words with the log; what was accepted before is safe"
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
  nameTaken: "knows another node by this name",
  missing: "is not there",
  incomplete: "lacks a part of this",
  refused: "does not take this",
  defect: "was asked wrongly"
}

/** It says nothing about what is asked: the home is not to be had, and may be later. */
export const isAway = (problem: HomeProblem): boolean => problem === "unreachable" || problem === "missing"

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
