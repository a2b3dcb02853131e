/** The last that an agent has said, for the story of an attempt that did not come to its answer. */
import type { ClaudeEvent } from "../claude/ClaudeEvent.ts"

/** What the agent itself says in this event: not those it has sent out, nor its CLI of a failure. Nothing where it says nothing. */
export const wordsIn = (event: ClaudeEvent): string | undefined => {
  if (event.kind !== "assistant" || event.parent_tool_use_id !== null || event.error !== undefined) return undefined
  const said = event.message.content.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("\n")
  return said === "" ? undefined : said
}
