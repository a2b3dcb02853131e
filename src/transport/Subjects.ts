/**
 * What may be a subject, and which subjects a subscription takes: `*` stands for one word, `>` at the end for one or more.
 * Whatever is sent is checked here, because a subject with a line break would be a command to the server. Pure.
 */

/** Characters. A server gives up on a line of 4096. */
export const MAX_SUBJECT = 1024

/** Words without dots, spaces and control characters. */
const SHAPE = /^[^\s.\p{Cc}]+(?:\.[^\s.\p{Cc}]+)*$/u
const WILD = /(?:^|\.)[*>](?:\.|$)/
const SWALLOWS_MORE = /(?:^|\.)>\./

/** Subjects that were found to be right lately: most messages go to few of them. */
const right = new Set<string>()
const MAX_RIGHT = 1024

/** What is wrong with a subject that is published to; undefined when nothing is. */
export const wrongSubject = (subject: string): string | undefined => {
  if (right.has(subject)) return undefined
  const wrong = wrongPattern(subject) ?? (WILD.test(subject) ? `the subject "${subject}" holds a wildcard` : undefined)
  if (wrong === undefined) {
    if (right.size === MAX_RIGHT) right.clear()
    right.add(subject)
  }
  return wrong
}

/** The same for one that is subscribed to. */
export const wrongPattern = (subject: string): string | undefined => {
  if (subject.length > MAX_SUBJECT) return `the subject has ${subject.length} characters, more than ${MAX_SUBJECT}`
  if (!SHAPE.test(subject)) return `${JSON.stringify(subject)} is no subject`
  if (SWALLOWS_MORE.test(subject)) return `in "${subject}" the wildcard > is not the last word`
  return undefined
}

export const wrongQueue = (queue: string): string | undefined =>
  queue.length <= MAX_SUBJECT && SHAPE.test(queue) ? undefined : `${JSON.stringify(queue)} is no queue group`

export const isLiteral = (pattern: string): boolean => !WILD.test(pattern)

export const matches = (pattern: ReadonlyArray<string>, subject: ReadonlyArray<string>): boolean => {
  for (const [index, word] of pattern.entries()) {
    if (word === ">") return subject.length > index
    if (index >= subject.length || (word !== "*" && word !== subject[index])) return false
  }
  return pattern.length === subject.length
}
