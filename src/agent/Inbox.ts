/**
 * What an agent has been told and has not heard yet: messages that wait for its next turn. Bounded, in the order they came, and
 * in memory only: it outlives the agent's lives and not the node's.
 */

/** Messages that wait at most. */
export const MAX_MESSAGES = 100
/** Characters that wait at most: some four of the longest messages. */
export const MAX_CHARACTERS = 1024 * 1024

/** So that nobody's message is a command of the CLI's, as what begins with a slash is, and the agent knows what it is. */
export const framed = (text: string): string => `A message for you, from outside:\n\n${text}`

export class Inbox {
  #waiting: Array<string> = []

  /** False where it is full. */
  add(text: string): boolean {
    const characters = this.#waiting.reduce((sum, { length }) => sum + length, text.length)
    if (this.#waiting.length >= MAX_MESSAGES || characters > MAX_CHARACTERS) return false
    this.#waiting.push(text)
    return true
  }

  /** What was taken and got nowhere: it came before all that wait, and they are no more than a turn takes. */
  putBack(texts: ReadonlyArray<string>): void {
    if (texts.length > 0) this.#waiting = [...texts, ...this.#waiting]
  }

  /** All of it, first to last. */
  take(): ReadonlyArray<string> {
    const texts = this.#waiting
    this.#waiting = []
    return texts
  }

  get size(): number {
    return this.#waiting.length
  }
}
