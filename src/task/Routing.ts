/**
 * The strategy of this node, and what it goes by. The Dispatcher asks it whom a task goes to and tells it what became of
 * it.
 *
 * Promises: it always answers with one of the agents that it was offered. A strategy that throws, answers with somebody
 * else or with a promise, or takes too long is passed over for the default one, and that is reported once for each reason.
 * One that keeps being slow is not asked again in this run, because nothing else runs while it thinks.
 */
import { Clock, Context, Duration, Effect, Layer, Random } from "effect"
import type { AgentSnapshot } from "../agent/AgentPool.ts"
import { millisOf } from "../domain/Monotonic.ts"
import { brief, type Event } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"
import { AgentLoads } from "./AgentLoad.ts"
import { affinityOf } from "./Labels.ts"
import { type Policy, type Route, route } from "./Router.ts"
import type { PluginError } from "./RoutingError.ts"
import * as RoutingPlugin from "./RoutingPlugin.ts"
import { DEFAULT_STRATEGY, type RoutingSettings, type StrategyName } from "./RoutingSettings.ts"
import { type Choose, meant, type Situation, type Spokes, spokesOf, strategies } from "./Strategies.ts"
import type { TaskRecord } from "./TaskRecord.ts"

/** How long a strategy may think about one task, in milliseconds: nothing else happens meanwhile. */
export const MAX_THINKING = 100
/** One that was too slow so often is not asked any more. */
export const MAX_SLOW = 3
/** Different reasons that are reported. */
export const MAX_TOLD = 20

export type Fallback = Omit<Extract<Event, { readonly type: "routing.fallback" }>, "type">

/** What is decided once, at the start. */
export interface Chosen {
  readonly strategy: StrategyName
  readonly plugin?: RoutingPlugin.RoutingPlugin | undefined
  /** Of hub_and_spoke. */
  readonly spokes?: Spokes | undefined
  readonly decayMillis: number
}

/** The default strategy, where nobody has said another. */
export const Routing = Context.Reference<Chosen>("mister-smith/task/Routing", {
  defaultValue: () => ({ strategy: DEFAULT_STRATEGY, decayMillis: Duration.toMillis("10 minutes") })
})

/** As the config says, with its plugin loaded. */
export const layer = (settings: RoutingSettings): Layer.Layer<never, PluginError> =>
  Layer.effect(
    Routing,
    Effect.gen(function* () {
      const { decay, plugin, strategy } = settings
      return {
        strategy,
        decayMillis: Duration.toMillis(decay),
        plugin: strategy === "plugin" && plugin !== undefined ? yield* RoutingPlugin.load(plugin) : undefined,
        spokes: strategy === "hub_and_spoke" ? spokesOf(settings) : undefined
      }
    })
  )

/** Whom a task waits for, of those who may take it. */
export const meantBy =
  ({ spokes }: Chosen): Policy["meant"] =>
  ({ spec }, able) =>
    // Who is asked for by name needs no rule.
    spokes === undefined || spec.agent !== undefined ? able : meant(spokes, spec.type, able)

/** What one answer of a strategy goes by, and who hears of it where it is none. */
export interface Asked {
  readonly now: number
  readonly random: number
  /** Milliseconds on a clock that nobody sets. */
  readonly stopwatch: () => number
  tell(fallback: Fallback): void
}

/** Outlives the single question: the statistics, and what a strategy has been reported for. */
export class Choosing {
  readonly loads: AgentLoads
  private readonly chosen: Chosen
  private readonly told = new Set<string>()
  private slow = 0

  constructor(chosen: Chosen) {
    this.chosen = chosen
    this.loads = new AgentLoads(chosen.decayMillis)
  }

  /** Pure but for what it remembers. */
  route(task: TaskRecord, agents: ReadonlyArray<AgentSnapshot>, interrupted: ReadonlySet<string>, asked: Asked): Route {
    return route(task, agents, interrupted, {
      meant: meantBy(this.chosen),
      choose: (task, idle) => this.choose(task, idle, asked)
    })
  }

  private choose(task: TaskRecord, idle: ReadonlyArray<AgentSnapshot>, asked: Asked): string {
    const candidates = idle.map((agent) => ({ ...agent, load: this.loads.of(agent.id, asked.now) }))
    const label = affinityOf(task.spec)
    const situation = { random: asked.random, last: label === undefined ? undefined : this.loads.worksFor(label) }
    const given = this.ask(task, candidates, situation, asked)
    const found = given ?? strategies[DEFAULT_STRATEGY](task, candidates, situation)?.id ?? candidates[0]?.id
    return found ?? ""
  }

  /** The strategy's answer, where it is one. */
  private ask(
    task: TaskRecord,
    candidates: Parameters<Choose>[1],
    situation: Situation,
    { now, stopwatch, tell }: Asked
  ): string | undefined {
    const { plugin, strategy } = this.chosen
    if (strategy !== "plugin") return strategies[strategy](task, candidates, situation)?.id
    if (plugin === undefined || this.slow >= MAX_SLOW) return undefined
    const refuse = (why: Fallback["why"], detail: string): undefined => {
      const key = `${why} ${detail}`
      if (this.told.has(key) || this.told.size >= MAX_TOLD) return
      this.told.add(key)
      tell({ strategy, task: task.id, why, detail: brief(detail) })
    }
    const begun = stopwatch()
    let answer: unknown
    try {
      answer = plugin(RoutingPlugin.taskOf(task), candidates.map(RoutingPlugin.agentOf), { ...situation, now })
    } catch (error) {
      return refuse("threw", RoutingPlugin.sentence(error))
    }
    if (stopwatch() - begun > MAX_THINKING) {
      const last = ++this.slow >= MAX_SLOW ? "; it is not asked again" : ""
      return refuse("slow", `it took longer than ${MAX_THINKING} ms${last}`)
    }
    if (answer === undefined || answer === null) return undefined
    if (typeof answer === "string") {
      if (candidates.some(({ id }) => id === answer)) return answer
      return refuse("unfit", `"${answer.slice(0, LONGEST_NAME)}" is none of the agents that it was offered`)
    }
    if (isPromise(answer)) {
      // Its end is of no use any more, and its failure must not end the node.
      Promise.resolve(answer).catch(() => {})
      return refuse("promise", "it answered with a promise; it must answer at once")
    }
    return refuse("unfit", `it answered with a ${typeof answer} and not with the id of an agent`)
  }
}

/** Of an answer that is told. */
const LONGEST_NAME = 64

const isPromise = (answer: unknown): boolean => {
  try {
    return typeof (answer as { readonly then?: unknown }).then === "function"
  } catch {
    return false
  }
}

/** For the one who gives out the tasks. */
export const make = Effect.gen(function* () {
  const bus = yield* EventBus
  const choosing = new Choosing(yield* Routing)
  const clock = yield* Clock.Clock
  return {
    /** Whom a task goes to now. */
    route: Effect.fnUntraced(function* (
      task: TaskRecord,
      agents: ReadonlyArray<AgentSnapshot>,
      interrupted: ReadonlySet<string>
    ) {
      const told: Array<Fallback> = []
      const random = yield* Random.next
      const now = yield* Clock.currentTimeMillis
      const stopwatch = () => millisOf(clock)
      const answer = choosing.route(task, agents, interrupted, { now, random, stopwatch, tell: (it) => told.push(it) })
      for (const fallback of told) yield* bus.publish({ type: "routing.fallback", ...fallback })
      return answer
    }),
    /** It was given to this agent. */
    given: ({ spec }: TaskRecord, agent: string) =>
      Effect.map(Clock.currentTimeMillis, (now) => choosing.loads.given(agent, affinityOf(spec), now)),
    /** How the attempt ended. */
    ended: (agent: string, how: "succeeded" | "failed" | "broken off") =>
      Effect.map(Clock.currentTimeMillis, (now) => choosing.loads.ended(agent, how, now))
  }
})
