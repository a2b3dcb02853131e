/**
 * A CLI as this agent needs it: its settings written, its command line made, its start gated, and what it does reported.
 */
import { Clock, Effect, FileSystem } from "effect"
import * as ClaudeCommand from "../claude/ClaudeCommand.ts"
import type { ClaudeEvent } from "../claude/ClaudeEvent.ts"
import * as ClaudeSession from "../claude/ClaudeSession.ts"
import { brief } from "../event/Event.ts"
import { EventBus } from "../event/EventBus.ts"
import { AgentLog } from "../observability/AgentLog.ts"
import { crashPoint } from "../state/CrashPoint.ts"
import { HomeUnavailable } from "./AgentError.ts"
import type { AgentHome } from "./AgentHome.ts"
import { AgentHost } from "./AgentHost.ts"
import type { AgentSpec } from "./AgentSpec.ts"

export interface OpenInput {
  readonly id: string
  readonly spec: AgentSpec
  readonly home: AgentHome
  /** A JSON Schema for every answer of this CLI. */
  readonly schema: unknown
  readonly resume: string | undefined
  /** The task that is being performed, for reports. */
  readonly task: () => string | undefined
  /** Hears every event of the CLI. */
  readonly hear: (event: ClaudeEvent) => Effect.Effect<void>
}

/** Starts a CLI that lives as long as the Scope. */
export const open = Effect.fn("AgentSession.open")(function* (input: OpenInput) {
  const { home, id, resume, schema, spec } = input
  const host = yield* AgentHost
  const bus = yield* EventBus
  const log = yield* AgentLog
  const { settings } = host
  const command = yield* host.command
  yield* writeSettings(input)
  const args = ClaudeCommand.argv({
    model: spec.model ?? settings.model,
    permissionMode: spec.permissions.mode,
    settingsFile: home.settingsFile,
    turns: spec.limits.turns,
    resume
  })
  const session = yield* host.gate.withPermit(
    Effect.gen(function* () {
      const began = yield* Clock.currentTimeMillis
      const session = yield* ClaudeSession.launch({
        command,
        args,
        cwd: home.workspace,
        env: ClaudeCommand.environment(host.environment, home.configDir, settings.env),
        limits: spec.limits,
        maxLine: settings.maxLine,
        startTimeout: settings.startTimeout,
        systemPrompt: spec.systemPrompt,
        appendSystemPrompt: spec.appendSystemPrompt,
        jsonSchema: schema,
        onEvent: (event) => Effect.andThen(input.hear(event), report(bus, input, event)),
        onLine: log.stream === undefined ? undefined : (line) => log.stream?.(id, line),
        onStderr: (line, session) => log.stderr(id, session, line),
        onEnd: (receipt, unreadable) =>
          Effect.andThen(
            unreadable.unknown + unreadable.broken + unreadable.overlong === 0
              ? Effect.void
              : bus.publish({ type: "session.unreadable", agent: id, ...unreadable, kept: unreadable.kept.map(brief) }),
            bus.publish({
              type: "session.ended",
              agent: id,
              pid: receipt.pid,
              exitCode: receipt.exit.code,
              signal: receipt.exit.signal,
              ended: receipt.ended,
              tookMillis: receipt.tookMillis
            })
          )
      })
      for (const { instead, limit, why } of session.process.unenforced()) {
        yield* bus.publish({ type: "limit.unenforced", agent: id, limit, why: brief(why), instead })
      }
      yield* bus.publish({
        type: "session.ready",
        agent: id,
        pid: session.pid,
        version: session.version,
        resumed: resume,
        tookMillis: (yield* Clock.currentTimeMillis) - began
      })
      return session
    })
  )
  yield* host.met(session.version)
  return session
})

const writeSettings = Effect.fnUntraced(
  function* ({ home, spec }: OpenInput) {
    const fs = yield* FileSystem.FileSystem
    crashPoint("agent.settings.before")
    yield* fs.writeFileString(home.settingsFile, ClaudeCommand.settings(spec.permissions), { mode: 0o600 })
    crashPoint("agent.settings.after")
  },
  (effect, { id }) => Effect.mapError(effect, (error) => new HomeUnavailable({ agent: id, reason: error.message }))
)

/** What of the CLI's events is worth an event of ours. */
const report = (bus: EventBus["Service"], { id, task }: OpenInput, event: ClaudeEvent): Effect.Effect<void> => {
  const performing = task()
  switch (event.kind) {
    case "assistant":
      if (performing === undefined || event.parent_tool_use_id !== null) return Effect.void
      return Effect.forEach(
        event.message.content,
        (block) =>
          block.type === "text"
            ? bus.publish({
                type: "task.progress",
                task: performing,
                agent: id,
                doing: "text",
                detail: brief(block.text)
              })
            : block.type === "tool_use"
              ? bus.publish({
                  type: "task.progress",
                  task: performing,
                  agent: id,
                  doing: "tool",
                  detail: brief(block.name)
                })
              : Effect.void,
        { discard: true }
      )
    case "system/api_retry":
      return bus.publish({
        type: "api.retry",
        agent: id,
        attempt: event.attempt,
        status: event.error_status,
        delayMillis: event.retry_delay_ms,
        error: brief(event.error)
      })
    default:
      return Effect.void
  }
}
