/** What a person may set about who gets which task, among those who may take it. */
import { Effect, Schema } from "effect"
import { AgentId, TaskType } from "../domain/Ids.ts"
import { duration } from "../domain/Setting.ts"
import { Text } from "../domain/Text.ts"

/** By name; what each does is in Strategies.ts, and in docs/routing.md. */
export const STRATEGIES = [
  "least_loaded",
  "round_robin",
  "capability",
  "priority",
  "sticky",
  "adaptive",
  "hub_and_spoke",
  "plugin"
] as const
export type StrategyName = (typeof STRATEGIES)[number]

/**
 * Where nothing is said, and where a strategy has no answer. It spreads the work: by the order of the config, an agent
 * that fails at once would be idle first and so be given everything.
 */
export const DEFAULT_STRATEGY = "least_loaded" satisfies StrategyName

/** Used where such agents exist. */
export const SPOKES = { research: "researcher", code: "coder", analysis: "analyst" } as const
export const HUB = "agent"

/** Types of tasks that may have a spoke of their own, at most. */
export const MAX_SPOKES = 100

export const RoutingSettings = Schema.Struct({
  strategy: Schema.Literals(STRATEGIES)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed(DEFAULT_STRATEGY)))
    .annotateKey({
      description:
        "Who gets a task, among the idle agents that may take it: the one that has been given least lately (least_loaded), each in turn (round_robin), the one with the fewest capabilities to spare (capability), the one of the highest weight (priority), the last one that worked for the label (sticky), the quick and reliable (adaptive), the one for its type (hub_and_spoke), or as a file of yours says (plugin). Default least_loaded"
    }),
  spokes: Schema.optionalKey(
    Schema.Record(TaskType, AgentId).pipe(
      Schema.check(
        Schema.makeFilter((spokes: object) => Object.keys(spokes).length <= MAX_SPOKES, {
          message: `expected at most ${MAX_SPOKES} types`
        })
      )
    )
  ).annotateKey({
    description:
      "With hub_and_spoke: which agent gets the tasks of a type. Default: research to researcher, code to coder, analysis to analyst, where such agents exist"
  }),
  default: Schema.optionalKey(AgentId).annotateKey({
    description:
      "With hub_and_spoke: the agent that gets the tasks of all other types. Default: agent where there is one, else any"
  }),
  plugin: Schema.optionalKey(Text).annotateKey({
    description:
      "With plugin: a file of TypeScript or JavaScript, relative to the config file, whose default export is asked; see routing.md"
  }),
  decay: duration(
    "10 minutes",
    "How fast what an agent was given, how long it took and how often it failed is forgotten: after so long it counts 37%."
  )
})
export type RoutingSettings = typeof RoutingSettings.Type
