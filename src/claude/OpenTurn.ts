/** A turn that runs: what was sent for it, how far the CLI is with it, and which of its results is the end of it. */
import { Deferred } from "effect"
import type { ClaudeFailure, TurnOk } from "./ClaudeFailure.ts"
import type { Result } from "./ClaudeResult.ts"

export interface TurnOptions {
  /** The id that the prompt gets in the CLI's own transcript. */
  readonly uuid?: string
  /** The turn must bring structured output. */
  readonly wantsOutput?: boolean
  /** Said below the prompt; where the turn never began, they are `unsaid`. */
  readonly messages?: ReadonlyArray<string>
}

export interface OpenTurn {
  readonly done: Deferred.Deferred<TurnOk, ClaudeFailure>
  readonly wantsOutput: boolean
  /** The id of its message. */
  readonly uuid: string | undefined
  /** A turn has begun since the message was sent: what belongs to the turn before it has been said. */
  begun: boolean
  /** The CLI has echoed the message: it is in the turn that runs. */
  echoed: boolean
  /** What was said since and has not been echoed, by id. While there is some, the turn is not over. */
  readonly said: Map<string, string>
  /** What came with the prompt. */
  readonly messages: ReadonlyArray<string>
  /** What was denied in the parts of it that have ended. */
  readonly denials: Array<Pick<TurnOk, "denials" | "denied">>
}

export const make = ({ messages = [], uuid, wantsOutput = false }: TurnOptions): OpenTurn => ({
  done: Deferred.makeUnsafe(),
  wantsOutput,
  uuid,
  begun: false,
  echoed: false,
  said: new Map(),
  messages,
  denials: []
})

/** The CLI has echoed the message of this id: it has taken it up. */
export const echo = (turn: OpenTurn, uuid: string): void => {
  if (uuid === turn.uuid) turn.echoed = true
  turn.said.delete(uuid)
}

/**
 * Does this result end it, or a part of it? The CLI begins turns of its own when a background task ends. Such a result is
 * ours only where our message, which came meanwhile, was folded into that turn. One that says twice that it is done has not
 * done what it is told next.
 */
export const isOf = (result: Result, turn: OpenTurn): boolean =>
  turn.echoed || (!selfBegun(result) && (turn.begun || result.is_error))

/** The result of a turn that the CLI has begun by itself. */
const selfBegun = ({ origin }: Result): boolean =>
  typeof origin === "object" && origin !== null && "kind" in origin && origin.kind !== "human"

/** A turn that had several parts, because something was said in it: what was denied in any of them was denied. */
export const whole = (last: TurnOk, { denials }: OpenTurn): TurnOk =>
  denials.length === 0
    ? last
    : {
        ...last,
        denials: [...denials, last].flatMap((part) => part.denials),
        denied: [...new Set([...denials, last].flatMap((part) => part.denied))]
      }
