/**
 * All that can be reported. An event says what happened; it never carries a result, and nothing waits for it. Texts in
 * it are bounded and hold no secret. `docs/events.md` lists every type with its fields.
 */
import type { AgentState } from "../domain/AgentState.ts"
import type { FaultReport, Severity } from "../domain/Fault.ts"
import { redact } from "../domain/Redaction.ts"
import type { TaskState } from "../domain/Task.ts"

export type Event =
  | { readonly type: "runtime.started"; readonly name: string; readonly version: string; readonly agents: number }
  /** The last event of a run. */
  | { readonly type: "runtime.stopped" }
  /** What an earlier run on this data directory had left alive, and was ended before anything was started. */
  | {
      readonly type: "runtime.swept"
      readonly ended: ReadonlyArray<{ readonly pid: number; readonly name: string }>
    }
  /** A limit of an agent that the kernel does not enforce here, and what is done instead. */
  | {
      readonly type: "limit.unenforced"
      readonly agent: string
      readonly limit: string
      readonly why: string
      readonly instead: "sampled" | "nothing"
    }
  /** The CLI met is not one this version was tested with. Once a run. */
  | { readonly type: "claude.untested"; readonly version: string; readonly tested: ReadonlyArray<string> }
  | {
      readonly type: "agent.state"
      readonly agent: string
      readonly from: AgentState
      readonly to: AgentState
      readonly reason: string
    }
  | {
      readonly type: "session.ready"
      readonly agent: string
      readonly pid: number
      readonly version: string | undefined
      readonly resumed: string | undefined
      readonly tookMillis: number
    }
  | {
      readonly type: "session.ended"
      readonly agent: string
      readonly pid: number
      readonly exitCode: number | null
      readonly signal: string | null
      readonly ended: ReadonlyArray<{ readonly pid: number; readonly name: string; readonly by: string }>
      readonly tookMillis: number
    }
  /** Lines of a CLI that were passed over: not known, broken, or over-long. */
  | {
      readonly type: "session.unreadable"
      readonly agent: string
      readonly unknown: number
      readonly broken: number
      readonly overlong: number
      readonly kept: ReadonlyArray<string>
    }
  /** The CLI is waiting before it asks the API again. */
  | {
      readonly type: "api.retry"
      readonly agent: string
      readonly attempt: number
      readonly status: number | null
      readonly delayMillis: number
      readonly error: string
    }
  | {
      readonly type: "task.state"
      readonly task: string
      readonly from: TaskState | undefined
      readonly to: TaskState
      readonly attempt: number
      readonly agent: string | undefined
      /** In a fleet, the node of this agent. */
      readonly node?: string
      readonly reason: FaultReport | undefined
      /** When a parked task is due, milliseconds since the epoch. */
      readonly dueAt: number | undefined
      /** The trace that the task belongs to, where it names one. */
      readonly traceparent?: string
    }
  /** What an agent says or does while it works. */
  | {
      readonly type: "task.progress"
      readonly task: string
      readonly agent: string
      readonly doing: "text" | "tool"
      readonly detail: string
    }
  | {
      readonly type: "task.denied"
      readonly task: string
      readonly agent: string
      readonly tools: ReadonlyArray<string>
    }
  /** What a task declares as its proof is not the case after its agent's turn. */
  | {
      readonly type: "task.unverified"
      readonly task: string
      readonly agent: string
      readonly missing: ReadonlyArray<{ readonly proof: string; readonly found: string }>
      /** The agent is told, and has one more turn. Else the task fails. */
      readonly sentBack: boolean
    }
  /** The strategy that `routing` names had no usable answer, and the default one was asked. Once for each reason. */
  | {
      readonly type: "routing.fallback"
      readonly strategy: string
      /** The first for which it was so. */
      readonly task: string
      readonly why: "threw" | "slow" | "promise" | "unfit"
      readonly detail: string
    }
  /** This node has claimed a task that nodes had bid for. */
  | {
      readonly type: "task.placed"
      readonly task: string
      readonly attempt: number
      readonly node: string
      /** `grace`: another one had bid better, and did not take it in time. */
      readonly by: "best_bid" | "grace"
      /** Those that were heard in time, the best first. */
      readonly bids: ReadonlyArray<{
        readonly node: string
        readonly free: number
        readonly slots: number
        readonly warm: boolean
        readonly spare: number
        readonly quotaUsd?: number
        readonly price?: number
      }>
    }
  /** A task has got a place of its own to work in, or has got it back. */
  | {
      readonly type: "workspace.made"
      readonly task: string
      readonly agent: string
      readonly kind: "fresh" | "worktree"
      readonly path: string
      readonly branch: string | undefined
      /** It had been put away, and is as it was. */
      readonly again: boolean
    }
  /** The workspace of a task that has ended is left as it is. */
  | { readonly type: "workspace.kept"; readonly task: string; readonly path: string; readonly why: string }
  /** The workspace of a task that has ended is gone. Nothing that was in it is lost. */
  | {
      readonly type: "workspace.removed"
      readonly task: string
      readonly path: string
      /** Where it is not deleted too. */
      readonly branch: string | undefined
      /** The ref that holds what was in no branch. */
      readonly archive: string | undefined
    }
  /** A decision of a supervisor, with its reason. */
  | {
      readonly type: "supervisor.decision"
      /** Its place in the tree. */
      readonly supervisor: string
      /** `ChildStarting`, `RestartScheduled`, `GaveUp`, …: see docs/supervision.md. */
      readonly decision: string
      readonly child: string | undefined
      readonly why: string
      /** Of the fault behind it, where there is one. */
      readonly severity: Severity | undefined
    }
  /** A person should know: a fault is critical, or a supervisor's restarts are used up and its escalation says so. */
  | {
      readonly type: "operator.notified"
      readonly supervisor: string
      readonly child: string
      readonly message: string
      readonly hint: string | undefined
    }
  /** What a new config changes, before any of it is carried out. Settings are named by their keys. */
  | {
      readonly type: "reload.planned"
      readonly add: ReadonlyArray<string>
      readonly change: ReadonlyArray<string>
      readonly remove: ReadonlyArray<string>
      readonly tasks: ReadonlyArray<string>
      readonly settings: ReadonlyArray<string>
      /** Settings that differ and hold only from the next start of the node. */
      readonly needsRestart: ReadonlyArray<string>
    }
  | {
      readonly type: "reload.step"
      readonly agent: string
      readonly step: "add" | "change" | "remove" | "undo"
      readonly is: "waiting" | "begun" | "done" | "failed"
      readonly why: string | undefined
    }
  | { readonly type: "reload.done"; readonly tookMillis: number }
  /** Something of the new config did not come up, so all that had been carried out was undone. */
  | {
      readonly type: "reload.rolled_back"
      /** The agent, or `tasks`. */
      readonly cause: string
      readonly why: string
      readonly undone: ReadonlyArray<string>
      readonly notUndone: ReadonlyArray<string>
    }
  /** The new config has mistakes, or cannot be read. Nothing was changed. */
  | { readonly type: "reload.refused"; readonly file: string; readonly mistakes: number; readonly why: string }
  /** A link to the NATS servers has changed, or something went wrong on it. */
  | {
      readonly type: "transport.status"
      readonly lane?: "control" | "bulk"
      /** As in transport/TransportStatus.ts. */
      readonly is: string
      readonly server?: string
      readonly detail?: string
      /** Messages that may not have arrived. */
      readonly unconfirmed?: number
    }
  /** Someone has told an agent something over the fleet's servers. */
  | {
      readonly type: "agent.told"
      readonly agent: string
      readonly command: string
      /** Who says so; proven only where it is signed. */
      readonly by: string | undefined
      readonly signedBy: string | undefined
      readonly reason: string | undefined
      /** Why it could not be done. */
      readonly fault: FaultReport | undefined
    }
  /** The list of nodes cannot be used, or another node has this one's name. Once, until it is well again. */
  | {
      readonly type: "fleet.trouble"
      readonly kind: string
      readonly message: string
      readonly hint: string | undefined
    }
  /** Another node leads the fleet, or none that this one knows of. */
  | {
      readonly type: "fleet.leader"
      readonly leader: string | undefined
      /** Greater with each term. */
      readonly epoch: number
      /** This node does. */
      readonly mine: boolean
    }
  /** The agents of an account begin no task before this time. */
  | {
      readonly type: "account.limited"
      readonly account: string
      /** Milliseconds since the epoch. */
      readonly until: number
      readonly why: string
      /** The node that met the limit. */
      readonly node: string
    }
  | { readonly type: "account.freed"; readonly account: string }
  /** Another node is silent for longer than usual, as far as this one can hear. */
  | {
      readonly type: "fleet.suspected"
      readonly node: string
      readonly phi: number
      readonly silenceMillis: number
    }
  /** Another node counts as dead here: what it held is queued again, and what it reports late is refused. */
  | {
      readonly type: "fleet.dead"
      readonly node: string
      readonly phi: number
      readonly silenceMillis: number
      /** How many it held. */
      readonly tasks: number
    }
  /** A node that was suspected, or counted as dead, gives signs of life again. */
  | { readonly type: "fleet.back"; readonly node: string; readonly was: "suspected" | "dead" }
  /** What this node does among others has changed: it has lost the fleet's ledger, or has it again. */
  | {
      readonly type: "fleet.mode"
      readonly from: "full" | "no_new_work" | "store_and_forward"
      readonly to: "full" | "no_new_work" | "store_and_forward" | "draining"
      readonly reason: string
      /** Ends of attempts, and tasks of its own, that wait for the fleet. */
      readonly reports: number
      readonly tasks: number
    }
  /** An attempt has ended while the fleet cannot be told: it is told when it can. */
  | { readonly type: "outbox.kept"; readonly task: string; readonly attempt: number; readonly agent: string }
  /** What was kept for the fleet is not taken by it and dropped: another attempt was faster, it knows the task otherwise, or it is too large. */
  | {
      readonly type: "outbox.refused"
      readonly task: string
      readonly attempt: number
      readonly fault: FaultReport
    }
  /** Events that were to be told to the fleet had to go, the oldest first, because more were waiting than may. */
  | { readonly type: "outbox.lost"; readonly events: number }
  /** Lines of the log files are being lost. Once, until they can be written again; it has a line in the log then. */
  | { readonly type: "logs.lost"; readonly reason: string }
  /** This subscriber was slower than the history is long and has missed events. */
  | { readonly type: "events.gap"; readonly missed: number }

/** An event as it was published: its place in the order of this run, and when. */
export type Published = Event & { readonly seq: number; readonly at: number }

/** The longest text of a child that goes into an event, in characters. */
export const TEXT_LIMIT = 200

/** Cuts a text to what an event may hold, on one line. Secrets are hidden before, or half of one might be left. */
export const brief = (text: string): string => {
  const line = redact(text).replace(/\s+/g, " ").trim()
  return line.length <= TEXT_LIMIT ? line : `${line.slice(0, TEXT_LIMIT - 1)}…`
}
