/** What a person may set about the Claude CLI itself, for all agents. */
import { Effect, Schema } from "effect"
import { byteSizeBetween } from "../domain/Quantity.ts"
import { Secret } from "../domain/Secret.ts"
import { duration } from "../domain/Setting.ts"
import { Text } from "../domain/Text.ts"

export const ClaudeSettings = Schema.Struct({
  command: Schema.optionalKey(Text).annotateKey({
    description:
      "The CLI's executable: a name on PATH, or a path relative to the config file. Default: `claude` from PATH, else that of the npm package @anthropic-ai/claude-code in a node_modules at or above the config file or the binary"
  }),
  env: Schema.Record(Schema.String, Secret)
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))
    .annotateKey({
      description:
        "Environment variables of every CLI, beside the few that it inherits. Text or secret references. Default none"
    }),
  model: Schema.optionalKey(Text).annotateKey({
    description: "The model of agents that name none. Default: the CLI's own"
  }),
  startTimeout: duration("60 seconds", "How long a CLI may take to be ready."),
  // Below the first no answer would get through; a line above the second no machine holds comfortably.
  maxLine: byteSizeBetween("64 KiB", "1 GiB")
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("32 MiB")))
    .annotateKey({
      description:
        'The longest line of the CLI\'s output that is read; a longer one is counted and passed over. At least "64 KiB", at most "1 GiB". Default "32 MiB"'
    })
})
export type ClaudeSettings = typeof ClaudeSettings.Type
