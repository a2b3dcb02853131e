/**
 * Brings running agents to a new config: one at a time, in its order, those that go last. Who is busy finishes first, at
 * most as long as one attempt may take.
 *
 * Promises: an agent that did not change is not touched; one that an operator keeps down stays down; where one does not
 * come up, it and all that changed before it are brought back, last one first, and the error says why. Nothing of it is
 * kept on disk: a runtime killed meanwhile starts by the config that it finds.
 */
import { Duration, Effect } from "effect"
import { type Fault, report } from "../domain/Fault.ts"
import { brief } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"
import { ChildStartFailed } from "../supervision/ChildError.ts"
import type { Agent, Generation } from "./Agent.ts"
import type { AgentHost } from "./AgentHost.ts"
import { AgentPool } from "./AgentPool.ts"
import type { AgentSpec } from "./AgentSpec.ts"
import { AgentTree } from "./AgentTree.ts"
import { ReloadRolledBack } from "./ReloadError.ts"

export type Step =
  | { readonly do: "add"; readonly agent: string; readonly spec: AgentSpec }
  | {
      readonly do: "change"
      readonly agent: string
      readonly spec: AgentSpec
      /** Takes a new CLI. */
      readonly renews: boolean
      /** Its processes may use more or less than before. */
      readonly limits: boolean
    }
  /** Nothing of its own has changed. */
  | { readonly do: "keep"; readonly agent: string }
  | { readonly do: "remove"; readonly agent: string }

export interface Reload {
  /** In the order of the new config, whose agents they name all; those to be removed are last. */
  readonly steps: ReadonlyArray<Step>
  readonly host: AgentHost["Service"]
  /** Who is busy is stopped, and goes on with its task in its next life. */
  readonly now: boolean
  /** When all have come or changed, and nobody has gone. Where it fails, all is undone. */
  readonly submit: Effect.Effect<unknown, Fault>
}

interface Undo {
  /** Not said of one that has only what it shares anew. */
  readonly agent?: string
  readonly back: Effect.Effect<void, Fault>
}

export const carryOut = Effect.fn("AgentReload.carryOut")(function* ({ host, now, steps, submit }: Reload) {
  const bus = yield* EventBus
  const pool = yield* AgentPool
  const tree = yield* AgentTree
  const before = pool.agents.map(({ id }) => id)
  const done: Array<Undo> = []

  const tell = (
    agent: string,
    step: "add" | "change" | "remove" | "undo",
    is: "waiting" | "begun" | "done" | "failed",
    why?: string
  ) => bus.publish({ type: "reload.step", agent, step, is, why: why === undefined ? undefined : brief(why) })

  /** Nothing of its task is cut off, unless it takes longer than it may, or nobody is to be waited for. */
  const whenFree = (agent: Agent, step: "change" | "remove" | "undo") =>
    Effect.gen(function* () {
      agent.withhold(true)
      if (now || agent.isFree()) return
      yield* tell(agent.id, step, "waiting", "it finishes its task first")
      yield* Effect.timeoutOption(agent.free, Duration.sum(agent.spec.limits.taskTime, GRACE))
    })
  const renew = (agent: Agent, next: Generation, step: "change" | "undo") =>
    whenFree(agent, step).pipe(
      Effect.andThen(tell(agent.id, step, "begun")),
      Effect.andThen(tree.renew(agent.id, next, step === "change")),
      Effect.ensuring(
        Effect.andThen(
          Effect.sync(() => agent.withhold(false)),
          pool.changed
        )
      )
    )
  const remove = (id: string, step: "remove" | "undo") =>
    Effect.suspend(() => {
      const agent = pool.get(id)
      if (agent === undefined) return Effect.void
      return whenFree(agent, step).pipe(
        Effect.andThen(tell(id, step, "begun")),
        Effect.andThen(tree.remove(id)),
        Effect.onError(() =>
          Effect.andThen(
            Effect.sync(() => agent.withhold(false)),
            pool.changed
          )
        )
      )
    })
  const limited = (agent: Agent) =>
    Effect.catchTag(agent.limit(agent.spec.limits), "AgentNotRunning", () => Effect.succeed([]))

  const carry = Effect.fnUntraced(function* (step: Exclude<Step, { readonly do: "remove" }>) {
    if (step.do === "add") {
      yield* tell(step.agent, "add", "begun")
      yield* pool.enlist(step.agent, step.spec, host)
      done.push({ agent: step.agent, back: remove(step.agent, "undo") })
      yield* tree.arrange(steps.map(({ agent }) => agent))
      yield* tree.admit(step.agent)
      return yield* tell(step.agent, "add", "done")
    }
    const agent = pool.get(step.agent)
    if (agent === undefined) return
    const old = agent.generation()
    if (step.do === "keep") {
      // What is shared holds from its next CLI on.
      if (old.host === host) return
      done.push({ back: tree.amend(step.agent, old) })
      return yield* tree.amend(step.agent, { spec: old.spec, host })
    }
    const next: Generation = { spec: step.spec, host }
    if (step.renews) {
      // Where its new CLI does not come up, there is something to undo just so.
      done.push({ agent: step.agent, back: renew(agent, old, "undo") })
      yield* renew(agent, next, "change")
    } else {
      const relimit = step.limits ? Effect.asVoid(limited(agent)) : Effect.void
      done.push({ agent: step.agent, back: Effect.andThen(tree.amend(step.agent, old), relimit) })
      yield* tree.amend(step.agent, next)
      yield* relimit
    }
    yield* tell(step.agent, "change", "done")
  })

  const undo = Effect.fnUntraced(function* (at: string, fault: Fault) {
    const undone: Array<string> = []
    const notUndone: Array<{ readonly agent: string; readonly reason: string }> = []
    for (const { agent, back } of done.reverse()) {
      if (agent === undefined) {
        yield* Effect.ignore(back)
        continue
      }
      yield* Effect.matchEffect(back, {
        onSuccess: () =>
          Effect.andThen(
            Effect.sync(() => undone.push(agent)),
            tell(agent, "undo", "done")
          ),
        onFailure: ({ message }) =>
          Effect.andThen(
            Effect.sync(() => notUndone.push({ agent, reason: brief(message) })),
            tell(agent, "undo", "failed", message)
          )
      })
    }
    yield* Effect.ignore(tree.arrange(before))
    const { hint, message } = causeOf(fault)
    return yield* new ReloadRolledBack({
      at,
      reason: message,
      undone,
      notUndone,
      ...(hint === undefined ? {} : { advice: hint })
    })
  })

  let at = "tasks"
  yield* Effect.gen(function* () {
    for (const step of steps) {
      if (step.do === "remove") continue
      at = step.agent
      yield* carry(step).pipe(
        Effect.tapError((fault: Fault) =>
          step.do === "keep" ? Effect.void : tell(step.agent, step.do, "failed", causeOf(fault).message)
        )
      )
    }
    at = "tasks"
    yield* submit
  }).pipe(Effect.catch((fault: Fault) => undo(at, fault)))

  // From here on nothing is left that a new config can be wrong about.
  for (const { agent, do: what } of steps) if (what === "remove") pool.get(agent)?.withhold(true)
  for (const { agent, do: what } of steps) {
    if (what !== "remove") continue
    yield* Effect.matchEffect(remove(agent, "remove"), {
      onSuccess: () => tell(agent, "remove", "done"),
      onFailure: (fault: Fault) => tell(agent, "remove", "failed", fault.message)
    })
  }
  yield* Effect.ignore(tree.arrange(steps.map(({ agent }) => agent)))
})

/** A turn that has taken all its time is interrupted and written down within this. */
const GRACE = Duration.seconds(10)

/** Why a start failed is what the child failed with. */
const causeOf = (fault: Fault): { readonly message: string; readonly hint?: string | undefined } =>
  fault instanceof ChildStartFailed ? fault.failure.reason : report(fault)
