/** Messages between the client's form and ours. */
import { type Msg, type MsgHdrs, headers as makeHeaders } from "nats"
import type { Headers } from "./Headers.ts"
import { type Answer, Arrived } from "./Wire.ts"

export const headersOf = (from: Headers): MsgHdrs => {
  const to = makeHeaders()
  for (const name in from) to.append(name, from[name] ?? "")
  return to
}

/** Its headers are read when they are looked at. */
export class NatsArrived extends Arrived {
  private readonly message: Msg
  private read: Headers | undefined
  constructor(message: Msg, answer: Answer) {
    super(answer)
    this.message = message
  }
  get subject() {
    return this.message.subject
  }
  get reply() {
    return this.message.reply || undefined
  }
  get data() {
    return this.message.data
  }
  get headers() {
    if (this.read !== undefined) return this.read
    const read: Record<string, string> = {}
    for (const [name, [value]] of this.message.headers ?? []) if (value !== undefined) read[name] = value
    this.read = read
    return read
  }
  get nobody() {
    return this.message.headers?.code === NOBODY && this.message.data.length === 0
  }
}

/** The status with which a server says that nobody listens. */
const NOBODY = 503
