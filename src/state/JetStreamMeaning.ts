/**
 * What an error of the client means for who keeps something on NATS servers: one of few problems, of which each has its cure
 * (HomeProblem.ts), and the server's own words. Answers that say little to who operates the servers are translated.
 */
import { ErrorCode, NatsError } from "nats"
import { BucketUnusable } from "./BucketError.ts"
import { type HomeProblem, isAway } from "./HomeProblem.ts"

/** JetStream's own numbers of what went wrong. */
const WRONG_LAST = new Set([10070, 10071, 10164])
const NO_ROOM = new Set([10023, 10047, 10077, 10110])
const TOO_LARGE = new Set([10054, 10097])
const NOT_FOUND = 10037
const NO_STREAM = 10059
const NO_CLUSTER = 10074
const NO_PEERS = 10005
const NO_JETSTREAM = new Set([10035, 10039, 10076])

/** What the client says of its connection, and of questions that nobody has answered. */
const UNREACHABLE: ReadonlySet<string> = new Set([
  ErrorCode.AccountExpired,
  ErrorCode.AuthenticationExpired,
  ErrorCode.AuthenticationTimeout,
  ErrorCode.BadAuthentication,
  ErrorCode.Cancelled,
  ErrorCode.ConnectionClosed,
  ErrorCode.ConnectionDraining,
  ErrorCode.ConnectionRefused,
  ErrorCode.ConnectionTimeout,
  ErrorCode.Disconnect,
  ErrorCode.JetStream408RequestTimeout,
  ErrorCode.JetStream409,
  ErrorCode.JetStreamIdleHeartBeat,
  ErrorCode.NoResponders,
  ErrorCode.ProtocolError,
  ErrorCode.RequestError,
  ErrorCode.SubClosed,
  ErrorCode.SubDraining,
  ErrorCode.Timeout,
  ErrorCode.Tls
])

/** What an error of the client means. What nobody has foreseen is a mistake of ours, which no waiting cures. */
export const explain = (where: string, error: unknown): BucketUnusable => {
  if (error instanceof BucketUnusable) return error
  const detail = error instanceof Error ? error.message : String(error)
  if (!(error instanceof NatsError)) {
    if (error instanceof SyntaxError) return new BucketUnusable({ where, problem: "damaged", detail })
    if (isOfSystem(error)) return new BucketUnusable({ where, problem: "unreachable", detail })
    return new BucketUnusable({ where, problem: "defect", detail: placed(error) })
  }
  const { api_error: answer, code: kind } = error
  const problem = answer === undefined ? problemOf(kind) : problemIn(answer.err_code ?? 0, answer.code)
  const shown = kind === "" || detail.includes(kind) ? detail : `${detail} (${kind})`
  const meaning = meaningOf(answer?.err_code, kind)
  return new BucketUnusable({ where, problem, detail: meaning === undefined ? shown : `${meaning}: ${shown}` })
}

/** There is no connection to ask by, whatever is the reason. */
export const unconnected = (where: string, error: unknown): BucketUnusable =>
  new BucketUnusable({ where, problem: "unreachable", detail: error instanceof Error ? error.message : String(error) })

/** Worth another try, for a while: a server that has just come up may know of no stream, too. */
export const mayPass = ({ problem }: BucketUnusable): boolean => isAway(problem)

/** By the client's own word for it. */
const problemOf = (kind: string): HomeProblem =>
  kind === ErrorCode.MaxPayloadExceeded
    ? "tooLarge"
    : kind === ErrorCode.PermissionsViolation || kind === ErrorCode.AuthorizationViolation
      ? "denied"
      : UNREACHABLE.has(kind) || isOfServer(Number(kind))
        ? "unreachable"
        : Number(kind) >= REFUSED
          ? "refused"
          : "defect"

/** By JetStream's answer. What it could not do it may do later; what it refuses it refuses again. */
const problemIn = (code: number, status: number): HomeProblem =>
  NO_ROOM.has(code)
    ? "noRoom"
    : TOO_LARGE.has(code)
      ? "tooLarge"
      : code === NO_STREAM
        ? "missing"
        : code === NO_PEERS || code === NO_CLUSTER || NO_JETSTREAM.has(code) || isOfServer(status)
          ? "unreachable"
          : "refused"

/** Of an answer's status, as in HTTP: from here on it says that something was wrong, and with whom. */
const REFUSED = 400
const TIMED_OUT = 408
const isOfServer = (status: number) => status === TIMED_OUT || status >= 500

/** A word of the system about a connection, such as ECONNRESET. */
const isOfSystem = (error: unknown): boolean =>
  error instanceof Error && "code" in error && /^E[A-Z_]+$/.test(String(error.code))

/** What it is, and where it was thrown. */
const placed = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  const [frame] = error.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? []
  return `${error.name}: ${error.message}${frame === undefined ? "" : `, ${frame.trim()}`}`
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

/** Nobody listens on the subject. */
export const isUnanswered = (error: unknown): boolean =>
  error instanceof NatsError && error.api_error === undefined && error.code === ErrorCode.NoResponders

/** No such message. That a server that has just come up knows no such stream says nothing about it. */
export const isMissing = (error: unknown): boolean =>
  error instanceof NatsError && error.api_error?.err_code === NOT_FOUND
