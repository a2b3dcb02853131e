/** Names and values beside a message. Names are printable ASCII without a colon; values are one line. Pure. */

export type Headers = Readonly<Record<string, string>>

export const NO_HEADERS: Headers = Object.freeze({})

const NAME = /^[!-9;-~]+$/
const LINE_BREAK = /[\r\n]/

/** What is wrong with them; undefined when nothing is. */
export const wrongHeaders = (headers: Headers): string | undefined => {
  for (const name in headers) {
    if (!NAME.test(name)) return `${JSON.stringify(name)} is no name of a header`
    if (LINE_BREAK.test(headers[name] ?? "")) return `the header ${name} has more than one line`
  }
  return undefined
}

/** As they arrive: without the space around values. */
export const trimmed = (headers: Headers): Headers => {
  const out: Record<string, string> = {}
  for (const name in headers) out[name] = (headers[name] ?? "").trim()
  return out
}

/** Bytes that they take on the wire. */
export const sizeOf = (headers: Headers): number => {
  let size = 0
  for (const name in headers) size += Buffer.byteLength(name) + Buffer.byteLength((headers[name] ?? "").trim()) + 4
  return size === 0 ? 0 : size + FRAME
}

/** "NATS/1.0", and the empty line at the end. */
const FRAME = 12
