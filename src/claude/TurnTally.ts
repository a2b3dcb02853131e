/**
 * What the open turn of a CLI has used up to now, as its events tell it: round trips of the conversation itself, tokens of
 * its subagents too. The `result`, which brings the CLI's own figures, begins it anew. Money is told in the result only.
 */
import { noUsage, type TaskUsage } from "../domain/Task.ts"
import type { ClaudeEvent } from "./ClaudeEvent.ts"
import type { Usage } from "./ClaudeMessage.ts"

interface Call {
  input: number
  output: number
}

const inputOf = ({ cache_creation_input_tokens, cache_read_input_tokens, input_tokens }: Usage) =>
  input_tokens + (cache_creation_input_tokens ?? 0) + (cache_read_input_tokens ?? 0)

export class TurnTally {
  /** Called when the CLI goes on to another model call, or is about to. */
  onMore: ((used: TaskUsage) => void) | undefined
  /** By the id of the message. */
  private readonly calls = new Map<string, Call>()
  /** The message that is being streamed, by the tool call in which a subagent says it. */
  private readonly streaming = new Map<string, Call>()
  private turns = 0

  get used(): TaskUsage {
    let inputTokens = 0
    let outputTokens = 0
    for (const { input, output } of this.calls.values()) {
      inputTokens += input
      outputTokens += output
    }
    return { ...noUsage, turns: this.turns, inputTokens, outputTokens }
  }

  hear(event: ClaudeEvent): void {
    switch (event.kind) {
      case "stream_event/message_start": {
        // What comes before it is what is spent when it begins.
        this.onMore?.(this.used)
        const { id, usage } = event.event.message
        this.streaming.set(event.parent_tool_use_id ?? "", this.note(id, usage, event.parent_tool_use_id))
        break
      }
      case "stream_event/message_delta": {
        const call = this.streaming.get(event.parent_tool_use_id ?? "")
        if (call !== undefined) call.output = Math.max(call.output, event.event.usage?.output_tokens ?? 0)
        if (event.event.delta.stop_reason === "tool_use") this.onMore?.(this.used)
        break
      }
      case "assistant":
        this.note(event.message.id, event.message.usage, event.parent_tool_use_id)
        break
      case "result":
        this.calls.clear()
        this.streaming.clear()
        this.turns = 0
        break
    }
  }

  private note(id: string, usage: Usage | undefined, parent: string | null | undefined): Call {
    const known = this.calls.get(id)
    const call = known ?? { input: 0, output: 0 }
    if (usage !== undefined) {
      call.input = Math.max(call.input, inputOf(usage))
      call.output = Math.max(call.output, usage.output_tokens)
    }
    if (known === undefined) {
      this.calls.set(id, call)
      if (parent === null || parent === undefined) this.turns++
    }
    return call
  }
}
