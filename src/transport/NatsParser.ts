/**
 * Reads the line before a message: subject, number of the subscription, where to answer, size. The client makes a piece of
 * memory for each of the four, which is a good part of what receiving a message takes; here only for those that are looked
 * at later. Whatever does not look as servers write it, and each line that is of another kind, is left to the client.
 */
import type { Parser } from "nats/lib/nats-base-client/internal_mod.js"

/** For this life of the connection: the client has a new parser for each. */
export const hasten = (parser: Parser): void => {
  const theirs = parser.processMsgArgs.bind(parser)
  parser.processMsgArgs = (line) => {
    // A message with headers says how long they are.
    if (parser.hdr >= 0 || !readLine(parser.ma, line)) theirs(line)
  }
}

/** "subject sid size" or "subject sid reply size", with one space between. Answers whether it was one: else nothing has changed. */
const readLine = (into: Parser["ma"], line: Uint8Array): boolean => {
  const subject = line.indexOf(SPACE)
  const sid = line.indexOf(SPACE, subject + 1)
  const reply = line.lastIndexOf(SPACE)
  if (subject < 1 || sid === -1) return false
  if (reply > sid && line.indexOf(SPACE, sid + 1) !== reply) return false
  const number = numberAt(line, subject + 1, sid)
  const size = numberAt(line, reply + 1, line.length)
  if (number === -1 || size === -1 || reply === sid + 1) return false
  into.subject = line.subarray(0, subject)
  into.sid = number
  into.size = size
  if (reply > sid) into.reply = line.subarray(sid + 1, reply)
  return true
}

/** -1 where there is none. */
const numberAt = (line: Uint8Array, from: number, to: number): number => {
  let number = from < to ? 0 : -1
  for (let at = from; at < to; at++) {
    const digit = (line[at] ?? 0) - ZERO
    if (digit < 0 || digit > 9) return -1
    number = number * 10 + digit
  }
  return number
}

const SPACE = 32
const ZERO = 48
