/**
 * Which agent is in which conversation, so that it can be gone on with when the agent, or the whole runtime, comes back.
 *
 * Promises: written before the agent goes on, and there after a SIGKILL of the runtime; a session of the CLI has one
 * owner, and whoever else asks for it is refused (SessionOwned); of two agents that were at the same task, the later
 * one has it. A store that cannot be written costs the conversation and never the task: a person is told once. Whether
 * the CLI still has what is remembered here is seen by AgentHome.ts.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import { ABSENT, StateStore } from "../state/StateStore.ts"
import type { StateConflict, StateFull, StateUnusable } from "../state/StateStoreError.ts"
import { SessionOwned } from "./AgentError.ts"

/** What an agent remembers from one life to the next. */
export interface Conversation {
  readonly task: string
  /** The id of the prompt in the CLI's transcript. */
  readonly prompt: string
  /** As the CLI calls it; undefined until the CLI has said so. */
  session: string | undefined
  /** Where the CLI works: only there is it found again. */
  readonly cwd: string
}

/** By agent. */
const CONVERSATIONS = "conversations"
/** By session. */
const OWNERS = "session-owners"

const Kept = Schema.fromJsonString(
  Schema.Struct({
    task: Schema.String,
    prompt: Schema.String,
    session: Schema.optionalKey(Schema.String),
    cwd: Schema.String
  })
)
const decode = Schema.decodeUnknownOption(Kept)

type Broken = StateUnusable | StateFull | StateConflict

export class Sessions extends Context.Service<
  Sessions,
  {
    /** What this agent was in the midst of when the runtime ended. */
    recall(agent: string): Conversation | undefined
    /** In place of what it was in before. Where the session is named, the agent owns it from now on. */
    remember(agent: string, conversation: Conversation): Effect.Effect<void, SessionOwned>
    /** Before a session is opened: nobody else has it, and nobody else gets it. */
    own(agent: string, session: string): Effect.Effect<void, SessionOwned>
    /** This task has ended, and nobody will go on with it here. */
    forget(agent: string, task: string): Effect.Effect<void>
  }
>()("mister-smith/agent/Sessions") {
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function* () {
      const store = yield* StateStore
      const recalled = yield* load(store)
      /** The session that each owns, and the task that stands in its record. */
      const owned = new Map<string, string>()
      const written = new Map<string, string>()
      for (const [agent, { session, task }] of recalled) {
        written.set(agent, task)
        if (session !== undefined) owned.set(agent, session)
      }
      let told = false

      /** Without the store the work goes on. */
      const orElseTell = <E>(work: Effect.Effect<void, E | Broken>): Effect.Effect<void, Exclude<E, Broken>> =>
        Effect.catch(
          Effect.tap(work, () => Effect.sync(() => (told = false))),
          (error) => {
            if (error instanceof SessionOwned) return Effect.fail(error as unknown as Exclude<E, Broken>)
            const broken = error as Broken
            if (told) return Effect.void
            told = true
            return Effect.logWarning(
              `conversations are not kept for the next run: ${broken.message}`,
              ...(broken.hint === undefined ? [] : [broken.hint])
            )
          }
        )

      const release = Effect.fnUntraced(function* (agent: string) {
        const session = owned.get(agent)
        if (session === undefined) return
        owned.delete(agent)
        const entry = yield* store.get(OWNERS, session)
        if (entry?.value === agent) yield* Effect.ignore(store.remove(OWNERS, session, entry.revision))
      })

      const take = Effect.fnUntraced(function* (agent: string, session: string) {
        const entry = yield* store.get(OWNERS, session)
        if (entry !== undefined && entry.value !== agent)
          return yield* new SessionOwned({ session, agent, owner: entry.value })
        if (entry === undefined)
          // Of two that come at once one is refused, and finds the other there.
          yield* Effect.catchTag(store.swap(OWNERS, session, agent, ABSENT), "StateConflict", () =>
            Effect.flatMap(store.get(OWNERS, session), (now) =>
              now === undefined || now.value === agent
                ? Effect.void
                : Effect.fail(new SessionOwned({ session, agent, owner: now.value }))
            )
          )
        if (owned.get(agent) !== session) yield* release(agent)
        owned.set(agent, session)
      })

      return Sessions.of({
        recall: (agent) => recalled.get(agent),
        own: (agent, session) => Effect.uninterruptible(orElseTell(take(agent, session))),
        remember: Effect.fn("Sessions.remember")((agent, conversation) =>
          Effect.gen(function* () {
            const { cwd, prompt, session, task } = conversation
            if (session === undefined) yield* release(agent)
            else yield* take(agent, session)
            const kept = { task, prompt, cwd, ...(session === undefined ? {} : { session }) }
            yield* store.put(CONVERSATIONS, agent, JSON.stringify(kept))
            written.set(agent, task)
          }).pipe(orElseTell, Effect.uninterruptible)
        ),
        forget: Effect.fn("Sessions.forget")((agent, task) =>
          Effect.gen(function* () {
            if (written.get(agent) !== task) return
            yield* store.remove(CONVERSATIONS, agent)
            written.delete(agent)
            yield* release(agent)
          }).pipe(orElseTell, Effect.uninterruptible)
        )
      })
    })
  )

  /** Forgets with the process. */
  static readonly layerMemory = Sessions.layer.pipe(Layer.provide(StateStore.layerMemory))
}

/** What was kept, the latest of each task only; whose session nobody is in any more loses its owner. */
const load = Effect.fnUntraced(function* (store: StateStore["Service"]) {
  const newest = new Map<string, string>()
  const found = new Map<string, Conversation>()
  const entries = yield* store.list(CONVERSATIONS)
  for (const { key: agent, value } of [...entries].sort((one, other) => one.revision - other.revision)) {
    // What cannot be read is as good as gone: the task begins anew.
    const kept = Option.getOrUndefined(decode(value))
    if (kept === undefined) continue
    const former = newest.get(kept.task)
    if (former !== undefined) found.delete(former)
    newest.set(kept.task, agent)
    found.set(agent, { ...kept, session: kept.session })
  }
  for (const { key: session, revision, value: agent } of yield* store.list(OWNERS)) {
    if (found.get(agent)?.session !== session) yield* Effect.ignore(store.remove(OWNERS, session, revision))
  }
  return found
})
