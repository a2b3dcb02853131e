/**
 * What the stand-in's model does. A prompt carries its script, `@fake[…]`, a JSON array of steps; one step is played for
 * each model call of the turn. Which step is next is read from the conversation itself: as many as there are answers of
 * the model after the prompt. Only failures need a memory, because they leave no trace in the conversation.
 */

export interface Step {
  /** Says this. */
  readonly text?: string
  /** Says so many bytes. */
  readonly text_size?: number
  /** Says this many pieces of text, one every so many milliseconds. */
  readonly deltas?: number
  readonly every?: number
  /** Calls a tool. */
  readonly tool?: string
  readonly input?: unknown
  /** Calls the StructuredOutput tool, which a JSON Schema adds. */
  readonly structured?: unknown
  /** Answers with an HTTP error, `times` times (default always), and then goes on with the next step. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly message?: string
  readonly times?: number
  /** Cuts the connection in mid-stream, `times` times; the retry without a stream too, unless `fallback` is `ok`. */
  readonly break?: boolean
  readonly fallback?: "ok" | "break"
  /** Milliseconds of silence in mid-stream. */
  readonly stall?: number
  /** Milliseconds before anything is answered. */
  readonly delay?: number
}

/** A prompt without a script of its own that matches is played these steps. */
export interface Rule {
  /** Part of the prompt. */
  readonly match: string
  readonly steps: ReadonlyArray<Step>
}

interface Message {
  readonly role: string
  readonly content: string | ReadonlyArray<{ readonly type: string; readonly text?: string }>
}

const textOf = ({ content }: Message): string =>
  typeof content === "string"
    ? content
    : content.flatMap((block) => (block.type === "text" ? [block.text ?? ""] : [])).join("\n")

/** The CLI's own insertions are no prompts. */
const isInserted = (text: string) =>
  /^\s*(<|\[structured-output-enforce\]|\[Request interrupted|Continue from where)/.test(text)

/** The last script of a conversation, and how much of it has been played. */
export const scriptOf = (
  messages: ReadonlyArray<Message>,
  rules: ReadonlyArray<Rule>
): { readonly key: string; readonly steps: ReadonlyArray<Step>; readonly played: number; readonly said: string } => {
  let found: { key: string; steps: ReadonlyArray<Step>; at: number } | undefined
  let said = ""
  for (const [at, message] of messages.entries()) {
    if (message.role !== "user") continue
    const text = textOf(message)
    const steps = stepsOf(text) ?? rules.find(({ match }) => text.includes(match))?.steps
    if (steps !== undefined) found = { key: JSON.stringify(steps), steps, at }
    if (text !== "" && !isInserted(text)) said = text
  }
  if (found === undefined) return { key: "", steps: [], played: 0, said }
  const after = messages.slice(found.at + 1).filter(({ role }) => role === "assistant")
  // What the CLI says in the model's place when it resumes is not the model's.
  const played = after.filter((message) => !/^(No response requested\.|API Error)/.test(textOf(message))).length
  return { key: found.key, steps: found.steps, played, said }
}

const stepsOf = (text: string): ReadonlyArray<Step> | undefined => {
  const at = text.indexOf("@fake[")
  if (at < 0) return undefined
  // The array ends at some bracket: the first at which it is JSON.
  for (let end = text.indexOf("]", at); end >= 0; end = text.indexOf("]", end + 1)) {
    try {
      return JSON.parse(text.slice(at + 5, end + 1)) as ReadonlyArray<Step>
    } catch {}
  }
  return undefined
}
