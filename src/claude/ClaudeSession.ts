/**
 * One running CLI: a conversation that takes one message at a time and answers with how its turn ended.
 *
 * Promises: ready means that the CLI has answered `initialize`; the end of a turn is the CLI's own `result`, judged by
 * ClaudeFailure.ts, or the death of the process, never silence; nothing the CLI prints can end the runtime; closing the
 * Scope interrupts an open turn, asks the CLI to end, and then ends its whole tree (ProcessTree.ts). Which message is
 * sent, and what a failure means for a task, is left to agent/.
 */

import { Clock, Deferred, Duration, Effect, Fiber, Semaphore, Stream } from "effect"
import { learn, redact, redactIn } from "../domain/Redaction.ts"
import { noUsage, type TaskUsage } from "../domain/Task.ts"
import { inModule } from "../observability/Log.ts"
import { Lines } from "../process/Lines.ts"
import { type ProcessHandle, type ProcessSpec, ProcessTree, type Receipt } from "../process/ProcessTree.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import * as ClaudeAsking from "./ClaudeAsking.ts"
import * as Control from "./ClaudeControl.ts"
import { ClaudeDecoder, type ClaudeEvent, type Unreadable } from "./ClaudeEvent.ts"
import {
  type ClaudeFailure,
  judgeExit,
  judgeRetry,
  judgeTurn,
  ModelUnavailable,
  type TurnEvidence,
  TurnFailed,
  type TurnOk
} from "./ClaudeFailure.ts"
import { keptLine } from "./ClaudeLine.ts"
import type { Result } from "./ClaudeResult.ts"
import * as OpenTurn from "./OpenTurn.ts"
import { spentUpTo } from "./Spent.ts"

export interface SessionSpec extends ProcessSpec {
  readonly systemPrompt: string | undefined
  readonly appendSystemPrompt: string | undefined
  /** For the answer of every turn. Only the first `initialize` of a process can set it. */
  readonly jsonSchema: unknown
  /** The longest line that is decoded, in bytes. */
  readonly maxLine: number
  /** How long the CLI may take to answer `initialize`. */
  readonly startTimeout: Duration.Duration
  /** Hears every event of the CLI, in order. Must not wait for a turn. */
  readonly onEvent: (event: ClaudeEvent) => Effect.Effect<void>
  /** Hears every line of its stream that ClaudeLine.ts keeps, as it came but for what is secret. */
  readonly onLine?: ((line: string) => void) | undefined
  /** Hears every line that it prints on stderr, without what is secret. */
  readonly onStderr?: (line: string, session: string | undefined) => void
  /** Hears how the process and all it had started ended. */
  readonly onEnd: (receipt: Receipt, unreadable: Unreadable) => Effect.Effect<void>
}

export interface ClaudeSession {
  readonly pid: number
  /** To pause, limit and measure it and all it has started. */
  readonly process: Pick<
    ProcessHandle,
    "pause" | "resume" | "isPaused" | "pausedMillis" | "limit" | "unenforced" | "usage"
  >
  /** As the CLI says it; undefined where it does not. */
  readonly version: string | undefined
  /** The conversation in which the last turn ran. */
  readonly sessionId: Effect.Effect<string | undefined>
  /**
   * Sends one message and waits for the end of its turn. When it is interrupted, so is the turn, and the session can
   * take another message. One at a time: a second call waits.
   */
  turn(prompt: string, options?: OpenTurn.TurnOptions): Effect.Effect<TurnOk, ClaudeFailure>
  /**
   * Says something in the turn that runs: the CLI takes it up with its next step, or in a turn of its own right after, and
   * `turn` ends when that has been answered too. False where no turn runs that could take it.
   */
  say(text: string, uuid: string): Effect.Effect<boolean>
  /** What was said, or was to be, and got into no turn before the last one ended. It is told once. */
  readonly unsaid: Effect.Effect<ReadonlyArray<string>>
  /** From the next turn on; undefined is the CLI's own. The CLI takes any name: whether there is such a model shows then. */
  setModel(model: string | undefined): Effect.Effect<void, ClaudeFailure>
  /** Forgets the conversation and begins another in the same process, without a model call. */
  readonly clear: Effect.Effect<void, ClaudeFailure>
  /** Of this process up to now, from the CLI's cumulative figures. A turn that is cut off by death is not in it. */
  readonly spent: Effect.Effect<TaskUsage>
  /** Never succeeds; fails when the CLI is gone. */
  readonly ended: Effect.Effect<never, ClaudeFailure>
}

/** How long an interrupted turn may take to say that it has ended. */
const INTERRUPT_WAIT = Duration.seconds(2)
/** How long it may take to say whether it has taken up what it was told: it answers within milliseconds. */
const TAKE_BACK_WAIT = Duration.millis(500)
/** What is said in a turn, and not taken up yet, at most. */
const MAX_SAID = 100
/** How long the CLI may take to exit after `end_session`. */
const END_WAIT = Duration.seconds(2)
/** After the exit: how long what is still in the pipes may take to arrive. A grandchild may hold a pipe open for ever. */
const DRAIN_WAIT = Duration.seconds(1)
/** How long a CLI that has closed its output may take to exit. */
const EXIT_WAIT = Duration.seconds(5)
/** Kept of what the CLI prints on stderr, in characters. */
const STDERR_TAIL = 8192
/** The longest line on stderr that is told whole, in bytes. */
const MAX_STDERR_LINE = 64 * 1024

/**
 * Starts a CLI and waits until it is ready.
 *
 * Fails with the start's `SpawnError`, with what the CLI died of before it was ready, or with `Stalled` where it does
 * not answer within `startTimeout`.
 */
export const launch = Effect.fn("ClaudeSession.launch")(function* (spec: SessionSpec) {
  const { appendSystemPrompt, jsonSchema, systemPrompt } = spec
  const tree = yield* ProcessTree
  const process = yield* tree.spawn(spec)
  const startedAt = yield* Clock.currentTimeMillis

  const { onLine } = spec
  const decoder = new ClaudeDecoder({
    maxLine: spec.maxLine,
    onLine:
      onLine === undefined
        ? undefined
        : (line) => {
            const kept = keptLine(line)
            if (kept !== undefined) onLine(kept)
          }
  })
  const gone = yield* Deferred.make<never, ClaudeFailure>()
  const { answered, ask, asked } = ClaudeAsking.make({
    write: (line) => process.write(line),
    gone,
    patience: spec.startTimeout
  })
  const oneTurn = yield* Semaphore.make(1)
  let open: OpenTurn.OpenTurn | undefined
  let sessionId: string | undefined
  let version: string | undefined
  let evidence: TurnEvidence = {}
  let stderr = ""
  let sawJson = false
  let spent = noUsage
  /** Shells and agents that the conversation has left running in the background. */
  const background = new Set<string>()
  let unsaid: Array<string> = []
  const scope = yield* Effect.scope

  // What it is given in confidence must not come back in its words.
  learn(Object.values(spec.env))

  const finish = (turn: OpenTurn.OpenTurn, outcome: TurnOk | ClaudeFailure) => {
    if (open === turn) open = undefined
    return outcome._tag === "TurnOk" ? Deferred.succeed(turn.done, outcome) : Deferred.fail(turn.done, outcome)
  }

  const hear = Effect.fnUntraced(function* (event: ClaudeEvent) {
    sawJson = true
    switch (event.kind) {
      case "control_response":
        answered(event.response)
        break
      case "control_request":
        // Nothing here answers for a person or a hook yet, and an unanswered request would wait for ever.
        yield* process.write(Control.encodeRefusal(event.request_id, `${event.request.subtype} is not supported`))
        break
      case "system/init":
        sessionId = event.session_id
        if (open !== undefined) open.begun = true
        version = event.claude_code_version ?? version
        break
      case "assistant":
        evidence = { ...evidence, assistantError: event.error }
        break
      case "user":
        if (open === undefined || event.isReplay !== true || event.uuid === undefined) break
        OpenTurn.echo(open, event.uuid)
        break
      case "rate_limit_event":
        evidence = { ...evidence, rateLimit: event.rate_limit_info }
        break
      case "system/api_retry": {
        evidence = { ...evidence, apiRetry: event }
        const hopeless = judgeRetry(event)
        if (hopeless !== undefined && open !== undefined) yield* finish(open, hopeless)
        break
      }
      case "system/task_started":
        background.add(event.task_id)
        break
      case "system/task_notification":
        background.delete(event.task_id)
        break
      case "result":
        crashPoint("turn.answered")
        spent = spentUpTo(event, spent)
        if (open !== undefined && OpenTurn.isOf(event, open)) {
          const outcome = judgeTurn({
            result: event.is_error ? withheld(event) : event,
            ...evidence,
            // The answer is that of the last part.
            wantsOutput: open.wantsOutput && open.said.size === 0
          })
          if (outcome._tag === "TurnOk" && open.said.size > 0) {
            // It came too late for this one: the CLI begins another with it by itself.
            open.denials.push(outcome)
            evidence = {}
          } else yield* finish(open, outcome._tag === "TurnOk" ? OpenTurn.whole(outcome, open) : outcome)
        }
        break
      case "misfit":
        // Who waits for a line that cannot be read must not wait for ever.
        if (event.requestId !== undefined)
          yield* process.write(Control.encodeRefusal(event.requestId, "not understood"))
        if (event.of === "result" && open !== undefined) {
          yield* finish(
            open,
            new TurnFailed({ subtype: "misfit", detail: `its result could not be read: ${event.reason}` })
          )
        }
        break
    }
    yield* spec.onEvent(event)
  })

  const reader = yield* process.stdout.pipe(
    Stream.runForEach((chunk) => Effect.forEach(decoder.push(chunk), hear, { discard: true })),
    Effect.andThen(Effect.suspend(() => Effect.forEach(decoder.end(), hear, { discard: true }))),
    Effect.forkScoped
  )
  const errorLines = new Lines({ maxLine: MAX_STDERR_LINE })
  const tell = (lines: ReadonlyArray<string>) => {
    for (const line of lines) spec.onStderr?.(redact(line), sessionId)
  }
  const errors = yield* process.stderr.pipe(
    Stream.tap((chunk) => Effect.sync(() => tell(errorLines.push(chunk)))),
    Stream.decodeText(),
    // Twice what is told: a secret that is cut is not found.
    Stream.runForEach((text) => Effect.sync(() => (stderr = (stderr + text).slice(-2 * STDERR_TAIL)))),
    Effect.ensuring(Effect.sync(() => tell(errorLines.end()))),
    Effect.forkScoped
  )
  // The exit decides, not the end of the pipe; but what the CLI said last may still be on its way.
  yield* Effect.gen(function* () {
    const exit = yield* process.exit
    yield* Effect.timeoutOption(Fiber.awaitAll([reader, errors]), DRAIN_WAIT)
    const failure = judgeExit({
      ...exit,
      sawJson,
      openTurn: open !== undefined,
      uptimeMillis: (yield* Clock.currentTimeMillis) - startedAt,
      stderr: redact(stderr).slice(-STDERR_TAIL)
    })
    if (open !== undefined) yield* finish(open, failure)
    yield* Deferred.fail(gone, failure)
  }).pipe(Effect.forkScoped)

  // One that has closed its output and lives on can never answer again: nobody may wait for it until the task's time is up.
  yield* Effect.gen(function* () {
    yield* Fiber.await(reader)
    const exited = yield* Effect.timeoutOption(process.exit, EXIT_WAIT)
    if (exited._tag === "Some") return
    const failure = ClaudeAsking.stalled(EXIT_WAIT, "output closed")
    if (open !== undefined) yield* finish(open, failure)
    yield* Deferred.fail(gone, failure)
  }).pipe(Effect.forkScoped)

  /** What it has been told and has not taken up it would begin a turn with, which nobody waits for. */
  const takeBack = (turn: OpenTurn.OpenTurn) =>
    Effect.suspend(() => {
      if (!turn.echoed) unsaid.push(...turn.messages)
      const open = [...turn.said]
      turn.said.clear()
      return Effect.forEach(
        open,
        ([message_uuid, text]) =>
          Effect.timeoutOption(
            Effect.interruptible(ask({ subtype: "cancel_async_message", message_uuid })),
            TAKE_BACK_WAIT
          ).pipe(
            Effect.tap((answer) =>
              Effect.sync(() => {
                const taken =
                  answer._tag === "Some" && answer.value !== undefined && Control.cancelledOf(answer.value) === false
                if (!taken) unsaid.push(text)
              })
            )
          ),
        { concurrency: "unbounded", discard: true }
      )
    })

  const interruptTurn = Effect.fnUntraced(function* (turn: OpenTurn.OpenTurn) {
    if (Deferred.isDoneUnsafe(turn.done)) return
    if (turn.said.size > 0) yield* takeBack({ ...turn, messages: [] })
    yield* Effect.forkChild(ask({ subtype: "interrupt" }))
    const ended = yield* Effect.timeoutOption(
      Effect.interruptible(Effect.exit(Deferred.await(turn.done))),
      INTERRUPT_WAIT
    )
    if (ended._tag === "None") {
      // It does not listen any more: nobody may send it another message.
      const failure = ClaudeAsking.stalled(INTERRUPT_WAIT, "interrupt")
      yield* finish(turn, failure)
      yield* Deferred.fail(gone, failure)
    }
  })

  // Runs before the tree is ended, because it is added after it.
  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      if (!Deferred.isDoneUnsafe(gone)) {
        if (open !== undefined) yield* interruptTurn(open)
        yield* Effect.forkChild(ask({ subtype: "end_session" }))
        yield* Effect.timeoutOption(Effect.interruptible(process.exit), END_WAIT)
      }
      const receipt = yield* process.stop
      const { unreadable } = decoder
      const lines = unreadable.lines.map((line) => ({ ...line, head: redact(line.head) }))
      yield* spec.onEnd(receipt, { ...unreadable, lines, kept: unreadable.kept.map(redact) })
    }).pipe(
      Effect.catchTag("TreeSurvived", (error) => inModule("claude")(Effect.logError(error.message, error.hint))),
      Effect.uninterruptible
    )
  )

  const turn = Effect.fn("ClaudeSession.turn")(function* (prompt: string, options: OpenTurn.TurnOptions = {}) {
    const current = OpenTurn.make(options)
    evidence = {}
    open = current
    crashPoint("turn.before")
    // A CLI that does not read its stdin never takes a long prompt: the writing is a part of the turn.
    return yield* Effect.raceFirst(
      Effect.andThen(
        process.write(Control.encodeMessage([prompt, ...current.messages].join("\n\n"), options.uuid)),
        () => {
          crashPoint("turn.sent")
          return Deferred.await(current.done)
        }
      ),
      Deferred.await(gone)
    ).pipe(
      Effect.onInterrupt(() => interruptTurn(current)),
      Effect.ensuring(takeBack(current))
    )
  }, oneTurn.withPermit)

  const say = (text: string, uuid: string): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      const turn = open
      // One without an id is the CLI's own business, such as `/clear`; one that is paused reads nothing.
      if (turn?.uuid === undefined || turn.said.size >= MAX_SAID) return Effect.succeed(false)
      if (process.isPaused() || Deferred.isDoneUnsafe(gone)) return Effect.succeed(false)
      turn.said.set(uuid, text)
      // Whether it got there is seen from its echo.
      return Effect.as(Effect.forkIn(process.write(Control.encodeMessage(text, uuid)), scope), true)
    })

  const ready = yield* asked({ subtype: "initialize", systemPrompt, appendSystemPrompt, jsonSchema })
  if (ready === undefined) return yield* Deferred.await(gone)
  const told = yield* asked({ subtype: "get_binary_version" })
  if (told?.subtype === "success") version = Control.versionOf(told) ?? version

  /** What the old conversation has started would report to the new one, and cost it a model call. */
  const stopBackground = Effect.suspend(() => {
    const tasks = [...background]
    background.clear()
    return Effect.forEach(tasks, (task_id) => ask({ subtype: "stop_task", task_id }), { discard: true })
  })

  const session: ClaudeSession = {
    pid: process.pid,
    process,
    version,
    sessionId: Effect.sync(() => sessionId),
    turn,
    say,
    unsaid: Effect.sync(() => {
      const texts = unsaid
      unsaid = []
      return texts
    }),
    setModel: (model) =>
      Effect.flatMap(asked({ subtype: "set_model", model }), (answer) => {
        if (answer === undefined) return Deferred.await(gone)
        return answer.subtype === "error" ? Effect.fail(new ModelUnavailable({ detail: answer.error })) : Effect.void
      }),
    // It needs no model, so it takes no longer than a start.
    clear: Effect.timeoutOrElse(Effect.andThen(stopBackground, turn("/clear")), {
      duration: spec.startTimeout,
      orElse: () => Effect.fail(ClaudeAsking.stalled(spec.startTimeout, "clear"))
    }).pipe(Effect.asVoid),
    spent: Effect.sync(() => spent),
    ended: Deferred.await(gone)
  }
  return session
})

/** The end of a turn as it may be told. */
const withheld = (result: Result): Result => ({
  ...result,
  ...(result.result === undefined ? {} : { result: redact(result.result) }),
  ...(result.errors === undefined ? {} : { errors: redactIn(result.errors) })
})
