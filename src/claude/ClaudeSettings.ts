/** What a person may set about the Claude CLI itself, for all agents. */
import { Effect, Schema } from "effect"
import { ByteSizeFromString, DurationFromString } from "../domain/Quantity.ts"
import { Secret } from "../domain/Secret.ts"

export const ClaudeSettings = Schema.Struct({
  command: Schema.optionalKey(Schema.NonEmptyString).annotateKey({
    description:
      "The CLI's executable: a name on PATH, or a path relative to the config file. Default: `claude` from PATH, else that of the npm package @anthropic-ai/claude-code in a node_modules at or above the config file or the binary"
  }),
  env: Schema.Record(Schema.String, Secret)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))
    .annotateKey({
      description:
        "Environment variables of every CLI, beside the few that it inherits. Text or secret references. Default none"
    }),
  model: Schema.optionalKey(Schema.NonEmptyString).annotateKey({
    description: "The model of agents that name none. Default: the CLI's own"
  }),
  startTimeout: DurationFromString.pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("60 seconds" as const))
  ).annotateKey({ description: 'How long a CLI may take to be ready. Default "60 seconds"' }),
  maxLine: ByteSizeFromString.pipe(Schema.withDecodingDefaultKey(Effect.succeed("32 MiB" as const))).annotateKey({
    description:
      'The longest line of the CLI\'s output that is read; a longer one is counted and passed over. Default "32 MiB"'
  })
})
export type ClaudeSettings = typeof ClaudeSettings.Type
