/**
 * What an error of the client means for who keeps something on NATS servers: one of few problems, of which each has its cure
 * (HomeProblem.ts), and the server's own words. Answers that say little to who operates the servers are translated.
 */
import { ErrorCode, NatsError } from "nats"
import { BucketUnusable } from "./BucketError.ts"

/** JetStream's own numbers of what went wrong. */
const WRONG_LAST = new Set([10070, 10071, 10164])
const NO_ROOM = new Set([10023, 10047, 10077, 10110])
const TOO_LARGE = new Set([10054, 10097])
const NOT_FOUND = 10037
const NO_STREAM = 10059
const NO_CLUSTER = 10074
const NO_PEERS = 10005
const NO_JETSTREAM = new Set([10035, 10039, 10076])

/** What an error of the client means. */
export const explain = (where: string, error: unknown): BucketUnusable => {
  if (error instanceof BucketUnusable) return error
  const detail = error instanceof Error ? error.message : String(error)
  const code = error instanceof NatsError ? error.api_error?.err_code : undefined
  const kind = error instanceof NatsError ? error.code : ""
  const problem =
    code !== undefined && NO_ROOM.has(code)
      ? "noRoom"
      : (code !== undefined && TOO_LARGE.has(code)) || kind === "MAX_PAYLOAD_EXCEEDED"
        ? "tooLarge"
        : kind === "PERMISSIONS_VIOLATION" || kind === "AUTHORIZATION_VIOLATION"
          ? "denied"
          : error instanceof SyntaxError
            ? "damaged"
            : "unreachable"
  const shown = kind === "" || detail.includes(kind) ? detail : `${detail} (${kind})`
  const meaning = meaningOf(code, kind)
  return new BucketUnusable({ where, problem, detail: meaning === undefined ? shown : `${meaning}: ${shown}` })
}

/** Of answers that say little to who operates the servers. */
const meaningOf = (code: number | undefined, kind: string): string | undefined =>
  code === NO_STREAM
    ? "there is no such stream: no node has made it yet, or it was deleted"
    : code === NO_CLUSTER
      ? "fleet.replicas asks for more than one server, and this one is in no cluster"
      : code === NO_PEERS
        ? "there are not as many servers with JetStream as fleet.replicas asks for"
        : code !== undefined && NO_JETSTREAM.has(code)
          ? "JetStream is not enabled for this account"
          : kind === ErrorCode.NoResponders
            ? "no JetStream answers for it: it is off, has no leader now, or the stream was deleted"
            : undefined

export const isWrongLast = (error: unknown): boolean =>
  error instanceof NatsError && WRONG_LAST.has(error.api_error?.err_code ?? 0)

/** No such message. That a server that has just come up knows no such stream says nothing about it. */
export const isMissing = (error: unknown): boolean =>
  error instanceof NatsError && error.api_error?.err_code === NOT_FOUND
