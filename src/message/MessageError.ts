/** What can go wrong between one who says something and one who hears it. Bytes that cannot be sent are transport/'s. */
import { Schema } from "effect"
import { type Fault, follow, type Recovery, type Severity } from "../domain/Fault.ts"
import { FaultView } from "./FaultView.ts"

/** A token that came from outside cannot be part of a subject. */
export class SubjectInvalid extends Schema.TaggedError<SubjectInvalid, Fault>("mister-smith/SubjectInvalid")(
  "SubjectInvalid",
  { what: Schema.String, value: Schema.String, problem: Schema.String }
) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "a token of a subject holds no dots, spaces, wildcards or control characters"
    })
  }
  override get message() {
    return `${JSON.stringify(this.value)} cannot be the ${this.what} of a subject: ${this.problem}`
  }
}

export class MessageTooLarge extends Schema.TaggedError<MessageTooLarge, Fault>("mister-smith/MessageTooLarge")(
  "MessageTooLarge",
  { size: Schema.Number, limit: Schema.Number }
) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "keep the content elsewhere and say where it is"
    })
  }
  override get message() {
    return `a message of ${this.size} bytes is more than the ${this.limit} that are read`
  }
}

/** No JSON, or not the shape that its type has. */
export class MessageUnreadable extends Schema.TaggedError<MessageUnreadable, Fault>("mister-smith/MessageUnreadable")(
  "MessageUnreadable",
  { problem: Schema.String }
) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "`mister-smith schema messages` prints what each message looks like"
    })
  }
  override get message() {
    return `this message cannot be read: ${this.problem}`
  }
}

/** Its sender speaks a newer language, in which what we know may mean something else. */
export class MessageVersionUnknown extends Schema.TaggedError<MessageVersionUnknown, Fault>(
  "mister-smith/MessageVersionUnknown"
)("MessageVersionUnknown", { version: Schema.Number, known: Schema.Number }) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "escalate",
      hint: "update this node: the one that sent it is newer"
    })
  }
  override get message() {
    return `a message of version ${this.version} cannot be read: ${this.known} is the newest that is known here`
  }
}

export class MessageTypeUnknown extends Schema.TaggedError<MessageTypeUnknown, Fault>(
  "mister-smith/MessageTypeUnknown"
)("MessageTypeUnknown", { type: Schema.String }) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "`mister-smith schema messages` lists the types"
    })
  }
  override get message() {
    return `there is no message of type ${JSON.stringify(this.type)}`
  }
}

/** Of a type that is known, but that nobody here listens for. */
export class MessageUnhandled extends Schema.TaggedError<MessageUnhandled, Fault>("mister-smith/MessageUnhandled")(
  "MessageUnhandled",
  { type: Schema.String, subject: Schema.String }
) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "look up in docs/messages.md which subject takes it"
    })
  }
  override get message() {
    return `nobody handles a ${this.type} on "${this.subject}" here`
  }
}

/** It came, or its turn came, when it was of no use any more. */
export class MessageExpired extends Schema.TaggedError<MessageExpired, Fault>("mister-smith/MessageExpired")(
  "MessageExpired",
  {
    ttlMillis: Schema.Number,
    /** Since it was sent, by the clocks of both; or since it was received, by ours. */
    ageMillis: Schema.Number,
    since: Schema.Literals(["sent", "received"])
  }
) {
  static {
    follow(this, {
      severity: "low",
      recovery: "ignore",
      hint: "send it again if it still matters; give it more time, or set the clocks of both machines"
    })
  }
  override get message() {
    return `the message is ${this.ageMillis} ms old since it was ${this.since}, and was good for ${this.ttlMillis} ms`
  }
}

/** Signatures are required here, and it has none. */
export class SignatureMissing extends Schema.TaggedError<SignatureMissing, Fault>("mister-smith/SignatureMissing")(
  "SignatureMissing",
  {}
) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "ignore",
      hint: "give the sender a key of its own, and its public key to this node"
    })
  }
  override get message() {
    return "the message is not signed, which is required here"
  }
}

/** What it says about who sent it is not so. */
export class SignatureInvalid extends Schema.TaggedError<SignatureInvalid, Fault>("mister-smith/SignatureInvalid")(
  "SignatureInvalid",
  {
    /**
     * - `malformed`: it cannot be read
     * - `untrusted`: its key is not among the trusted ones
     * - `mismatch`: it was made over another subject, other bytes, or by another key
     * - `stale`: it was made too long ago, or by a clock that is ahead
     */
    why: Schema.Literals(["malformed", "untrusted", "mismatch", "stale"]),
    key: Schema.optionalKey(Schema.String)
  }
) {
  static {
    follow(this, { severity: "high", recovery: "ignore" })
  }
  override get hint() {
    if (this.why === "untrusted") return "add the public key to the trusted ones, if you know whose it is"
    if (this.why === "stale") return "set the clocks of both machines, or allow a longer time window"
    return "someone may have changed it on its way: look at who may publish on this subject"
  }
  override get message() {
    const by = this.key === undefined ? "" : ` by ${this.key}`
    return `the signature${by} does not count: ${this.why}`
  }
}

/** The very same signed message has been here before. */
export class MessageReplayed extends Schema.TaggedError<MessageReplayed, Fault>("mister-smith/MessageReplayed")(
  "MessageReplayed",
  { key: Schema.String, nonce: Schema.String }
) {
  static {
    follow(this, {
      severity: "high",
      recovery: "ignore",
      hint: "someone repeats what others have signed: look at who may publish on this subject"
    })
  }
  override get message() {
    return `a message signed by ${this.key} came a second time`
  }
}

/** A key of the settings is none. It says nothing of what was written there. */
export class KeyInvalid extends Schema.TaggedError<KeyInvalid, Fault>("mister-smith/KeyInvalid")("KeyInvalid", {
  what: Schema.Literals(["seed", "public key"]),
  problem: Schema.String
}) {
  static {
    follow(this, {
      severity: "critical",
      recovery: "reload",
      hint: 'a seed begins with "SU", "SA" or "SO", a public key with "U", "A" or "O", as `nsc generate nkey` prints them'
    })
  }
  override get message() {
    return `this is no ${this.what} of an NKey: ${this.problem}`
  }
}

/** The one who handles a message failed at it, or died. */
export class HandlerFailed extends Schema.TaggedError<HandlerFailed, Fault>("mister-smith/HandlerFailed")(
  "HandlerFailed",
  { type: Schema.String, fault: FaultView }
) {
  static {
    follow(this, { severity: "medium", recovery: "ignore" })
  }
  override get hint() {
    return this.fault.hint
  }
  override get message() {
    return `handling a ${this.type} failed with ${this.fault.kind}: ${this.fault.message}`
  }
}

export class HandlerTimedOut extends Schema.TaggedError<HandlerTimedOut, Fault>("mister-smith/HandlerTimedOut")(
  "HandlerTimedOut",
  { type: Schema.String, millis: Schema.Number }
) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "ignore",
      hint: "what it had begun may have been done in part: look before sending it again"
    })
  }
  override get message() {
    return `handling a ${this.type} took longer than ${this.millis} ms and was broken off`
  }
}

/** The peer answered that it could not: with its own fault, whose policy this one has. */
export class PeerFailed extends Schema.TaggedError<PeerFailed, Fault>("mister-smith/PeerFailed")("PeerFailed", {
  subject: Schema.String,
  fault: FaultView
}) {
  static {
    follow(this, { severity: "medium", recovery: "ignore" })
  }
  override get severity(): Severity {
    return this.fault.severity
  }
  override get recovery(): Recovery {
    return this.fault.recovery
  }
  override get hint() {
    return this.fault.hint
  }
  override get message() {
    return `"${this.subject}" answered with ${this.fault.kind}: ${this.fault.message}`
  }
}

/** An answer came that does not belong to the question. */
export class ReplyUnexpected extends Schema.TaggedError<ReplyUnexpected, Fault>("mister-smith/ReplyUnexpected")(
  "ReplyUnexpected",
  { subject: Schema.String, problem: Schema.String }
) {
  static {
    follow(this, {
      severity: "medium",
      recovery: "ignore",
      hint: "whether it was acted on is not known: ask what became of it"
    })
  }
  override get message() {
    return `the answer from "${this.subject}" does not belong to the question: ${this.problem}`
  }
}

/** Why bytes are no message. */
export type DecodeError = MessageTooLarge | MessageUnreadable | MessageVersionUnknown | MessageTypeUnknown
/** Why a message is not believed to come from whom it says. */
export type VerifyError = SignatureMissing | SignatureInvalid | MessageReplayed
