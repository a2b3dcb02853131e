/** What can go wrong between one who sends bytes and one who gets them. */
import { Schema } from "effect"
import { type Fault, follow } from "../domain/Fault.ts"
import type { CircuitOpen } from "../resource/ResourceError.ts"

/** Nothing was sent: the subject, a header or what is asked for is not such as any server would take. */
export class MessageInvalid extends Schema.TaggedError<MessageInvalid, Fault>("mister-smith/MessageInvalid")(
  "MessageInvalid",
  { problem: Schema.String }
) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "a subject is made of words with dots between them; only a subscription may hold the wildcards * and >"
    })
  }
  override get message() {
    return `this message cannot be sent: ${this.problem}`
  }
}

export class PayloadTooLarge extends Schema.TaggedError<PayloadTooLarge, Fault>("mister-smith/PayloadTooLarge")(
  "PayloadTooLarge",
  {
    subject: Schema.String,
    /** Bytes, without the headers. */
    size: Schema.Number,
    /** What the server takes, headers included. */
    limit: Schema.Number
  }
) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "keep the content elsewhere and send where it is, or raise max_payload of the server"
    })
  }
  override get message() {
    return `a message of ${this.size} bytes to "${this.subject}" is more than the ${this.limit} that are taken with its headers`
  }
}

/** More is waiting for the link than may wait. Nothing was accepted. */
export class PendingFull extends Schema.TaggedError<PendingFull, Fault>("mister-smith/PendingFull")("PendingFull", {
  lane: Schema.String,
  /** Bytes, or requests. */
  limit: Schema.Number
}) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "retry",
      hint: "wait until the server can be reached again, or raise transport.maxPending"
    })
  }
  override get message() {
    return `as much as may wait (${this.limit}) waits for the ${this.lane} link already`
  }
}

/** This end was closed, or is being drained. */
export class TransportClosed extends Schema.TaggedError<TransportClosed, Fault>("mister-smith/TransportClosed")(
  "TransportClosed",
  {}
) {
  static {
    follow(this, { severity: "medium", recovery: "restart", hint: "the node is stopping: start it again" })
  }
  override get message() {
    return "the transport is closed"
  }
}

/** Nobody listens on the subject, which the server said at once. */
export class NoResponders extends Schema.TaggedError<NoResponders, Fault>("mister-smith/NoResponders")("NoResponders", {
  subject: Schema.String
}) {
  static {
    follow(this, {
      severity: "low",
      recovery: "retry",
      hint: "start whoever should answer, and check that both use the same prefix and account"
    })
  }
  override get message() {
    return `nobody listens on "${this.subject}"`
  }
}

/** There was no answer in time. Whether the request was acted on is not known. */
export class RequestTimeout extends Schema.TaggedError<RequestTimeout, Fault>("mister-smith/RequestTimeout")(
  "RequestTimeout",
  { subject: Schema.String, millis: Schema.Number }
) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "retry",
      hint: "it may have been acted on all the same: ask what became of it before asking again"
    })
  }
  override get message() {
    return `no answer from "${this.subject}" within ${this.millis} ms`
  }
}

/** The connection to the server ended, or there is none. It is built again by itself, for ever. */
export class ServerLost extends Schema.TaggedError<ServerLost, Fault>("mister-smith/ServerLost")("ServerLost", {
  lane: Schema.String,
  /** The last one, or the first that was tried. */
  server: Schema.String,
  reason: Schema.String
}) {
  static {
    follow(this, {
      severity: "high",
      recovery: "failover",
      hint: "it is tried again by itself; look at the server and at the network between"
    })
  }
  override get message() {
    return `the ${this.lane} link to ${this.server} is down: ${this.reason}`
  }
}

/** The server does not let this user do this. */
export class PermissionDenied extends Schema.TaggedError<PermissionDenied, Fault>("mister-smith/PermissionDenied")(
  "PermissionDenied",
  { operation: Schema.Literals(["publish", "subscribe"]), subject: Schema.String }
) {
  static {
    follow(this, {
      severity: "high",
      recovery: "escalate",
      hint: "give the user this permission in the server's configuration; docs/nats.md lists what is needed"
    })
  }
  override get message() {
    return `the server does not allow this user to ${this.operation} "${this.subject}"`
  }
}

/** One who listens does not keep up: what would be more than its bound was dropped. */
export class SlowConsumer extends Schema.TaggedError<SlowConsumer, Fault>("mister-smith/SlowConsumer")("SlowConsumer", {
  subject: Schema.String,
  /** Messages of this subscription so far. */
  dropped: Schema.Number,
  /** Messages that may wait. */
  limit: Schema.Number
}) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "ignore",
      hint: "spread the work with a queue group, or send what must not be lost through the ledger"
    })
  }
  override get message() {
    return `the subscription to "${this.subject}" does not keep up: ${this.dropped} messages dropped`
  }
}

/** The server does not know this user, or not any more. It is tried again, with what the references hold by then. */
export class AuthenticationRefused extends Schema.TaggedError<AuthenticationRefused, Fault>(
  "mister-smith/AuthenticationRefused"
)("AuthenticationRefused", {
  lane: Schema.String,
  why: Schema.Literals(["violation", "expired", "revoked", "timeout"]),
  /** The server's own words. */
  reason: Schema.String
}) {
  static {
    follow(this, { severity: "critical", recovery: "reload" })
  }
  override get hint() {
    return this.why === "expired"
      ? "put new credentials where transport.credentials refers to; they are read at the next try"
      : "check the user, password, token, nkey or credentials of transport; they are read again at the next try"
  }
  override get message() {
    return `the server refuses the credentials of the ${this.lane} link: ${this.reason}`
  }
}

/** The two ends do not trust each other's certificates, or one of them speaks no TLS. */
export class TlsFailed extends Schema.TaggedError<TlsFailed, Fault>("mister-smith/TlsFailed")("TlsFailed", {
  lane: Schema.String,
  reason: Schema.String
}) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "reload",
      hint: "check transport.tls: the CA must be the one that signed the server's certificate, which must name the host as transport.servers does"
    })
  }
  override get message() {
    return `no TLS connection for the ${this.lane} link: ${this.reason}`
  }
}

/** A reference of the settings leads to nothing usable. What it held before is used until it does. */
export class SecretUnreadable extends Schema.TaggedError<SecretUnreadable, Fault>("mister-smith/SecretUnreadable")(
  "SecretUnreadable",
  { setting: Schema.String, reason: Schema.String }
) {
  static {
    follow(this, {
      severity: "high",
      recovery: "reload",
      hint: "put it back where the setting refers to; it is read again at the next connection"
    })
  }
  override get message() {
    return `${this.setting} cannot be read: ${this.reason}`
  }
}

export type PublishError = MessageInvalid | PayloadTooLarge | PendingFull | TransportClosed
export type SubscribeError = MessageInvalid | PermissionDenied | TransportClosed
/** Why a subscription ends before its Scope. */
export type SubscriptionError = PermissionDenied | SlowConsumer
export type RequestError = PublishError | NoResponders | RequestTimeout | ServerLost | PermissionDenied | CircuitOpen
/** Why there is no link, where waiting alone does not cure it. */
export type LinkRefused = AuthenticationRefused | TlsFailed | SecretUnreadable
