/** What can be wrong with a config: every mistake at once, each with its place. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"

export const Mistake = Schema.Struct({
  /** Such as `agents[1].limits.taskTime`, `(file)` for the whole, `line 3, column 7` where the file is no JSON, or the name of an environment variable. */
  at: Schema.String,
  expected: Schema.String,
  /** As it is written, shortened; never a secret. */
  found: Schema.optionalKey(Schema.String),
  /** What was meant, perhaps. */
  suggestion: Schema.optionalKey(Schema.String),
  /** Both from 1, where it is in the file. */
  line: Schema.optionalKey(Schema.Number),
  column: Schema.optionalKey(Schema.Number)
})
export type Mistake = typeof Mistake.Type

const sentence = ({ at, expected, found, line, suggestion }: Mistake): string =>
  [
    `  ${at}${line === undefined || at.startsWith("line ") ? "" : ` (line ${line})`}: ${expected}`,
    found === undefined ? "" : `, found ${found}`,
    suggestion === undefined ? "" : `; ${suggestion}`
  ].join("")

export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid, Fault>("mister-smith/ConfigInvalid")(
  "ConfigInvalid",
  {
    file: Schema.String,
    mistakes: Schema.Array(Mistake)
  }
) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "escalate",
      hint: "every key is explained in docs/config.md; an editor that reads the JSON Schema (`mister-smith schema`) helps while you write"
    })
  }
  override get message() {
    return [`${this.file}:`, ...this.mistakes.map(sentence)].join("\n")
  }
}

/** There is nothing to read: no such file, a directory, no permission, too large. */
export class ConfigUnreadable extends Schema.TaggedError<ConfigUnreadable, Fault>("mister-smith/ConfigUnreadable")(
  "ConfigUnreadable",
  {
    file: Schema.String,
    reason: Schema.String
  }
) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "escalate",
      hint: "name a JSON file of at most 8 MiB: mister-smith run path/to/config.json"
    })
  }
  override get message() {
    return `${this.file}: ${this.reason}`
  }
}
