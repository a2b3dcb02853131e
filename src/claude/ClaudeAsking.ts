/** What a running CLI is asked over its control protocol, and who waits for which answer. */
import { Deferred, Duration, Effect } from "effect"
import * as Control from "./ClaudeControl.ts"
import { type ClaudeFailure, Stalled } from "./ClaudeFailure.ts"

export interface Options {
  readonly write: (line: string) => Effect.Effect<void>
  /** Fails when the CLI is gone. */
  readonly gone: Deferred.Deferred<never, ClaudeFailure>
  /** How long an answer may take. */
  readonly patience: Duration.Duration
}

export interface ClaudeAsking {
  /** Undefined where it is gone before it answers. Waits as long as it takes. */
  ask(request: Control.Request): Effect.Effect<Control.Answer | undefined>
  /** Undefined where it is gone. One that answers too late is as good as silent, whatever it was asked. */
  asked(request: Control.Request): Effect.Effect<Control.Answer | undefined, ClaudeFailure>
  /** An answer has come. */
  answered(answer: Control.Answer): void
}

export const make = ({ gone, patience, write }: Options): ClaudeAsking => {
  const answers = new Map<string, Deferred.Deferred<Control.Answer>>()
  let requests = 0
  const ask = (request: Control.Request): Effect.Effect<Control.Answer | undefined> =>
    Effect.suspend(() => {
      const id = `ms-${++requests}`
      const answer = Deferred.makeUnsafe<Control.Answer>()
      answers.set(id, answer)
      return Effect.andThen(
        write(Control.encodeRequest(id, request)),
        Effect.raceFirst(
          Deferred.await(answer),
          Effect.orElseSucceed(Deferred.await(gone), () => undefined)
        )
      ).pipe(Effect.ensuring(Effect.sync(() => answers.delete(id))))
    })
  return {
    ask,
    asked: (request) =>
      Effect.timeoutOrElse(Effect.raceFirst(ask(request), Deferred.await(gone)), {
        duration: patience,
        orElse: () => Effect.fail(stalled(patience, request.subtype))
      }),
    answered: (answer) => {
      const waiting = answers.get(answer.request_id)
      if (waiting !== undefined) Deferred.doneUnsafe(waiting, Effect.succeed(answer))
    }
  }
}

export const stalled = (after: Duration.Duration, doing: string) =>
  new Stalled({ silentMillis: Duration.toMillis(after), doing })
