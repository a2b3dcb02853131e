/**
 * What all agents of this node share: the CLI's executable and settings, the data directory, and the gate that lets
 * only as many CLIs start at once as the machine has cores (a start is 1.2 s of pure CPU; more at once makes each of
 * them slower and all of them later).
 */
import { availableParallelism } from "node:os"
import { Context, type Duration, Effect, Layer, Redacted, Semaphore } from "effect"
import { CREDENTIALS, HostEnvironment, resolveCommand } from "../claude/ClaudeCommand.ts"
import { learn } from "../domain/Redaction.ts"
import { EventBus } from "../event/EventBus.ts"
import { ClaudeNotFound } from "./AgentError.ts"

export interface HostSettings {
  /** Absolute. */
  readonly dataDir: string
  /** Where a relative `command` is looked for. Absolute. */
  readonly baseDir: string
  readonly command?: string
  readonly env: Readonly<Record<string, string | Redacted.Redacted>>
  readonly model?: string
  readonly startTimeout: Duration.Duration
  /** Bytes. */
  readonly maxLine: number
  /** How long the end of a process tree may take. */
  readonly stopTime: Duration.Duration
}

/** The same machine and gate, with other settings: for agents whose settings have changed. */
export const renewed = Effect.fnUntraced(function* (host: AgentHost["Service"], settings: HostSettings) {
  const { environment } = host
  return AgentHost.of({ ...host, settings, command: yield* commandOf(settings, environment) })
})

/** Looked for once. */
const commandOf = (settings: HostSettings, environment: Readonly<Record<string, string | undefined>>) =>
  Effect.cached(
    Effect.suspend(() => {
      const found = resolveCommand(settings.command, settings.baseDir, environment)
      return found === undefined
        ? Effect.fail(new ClaudeNotFound({ command: settings.command ?? "claude" }))
        : Effect.succeed(found)
    })
  )

/** The versions of the CLI that the tests ran with. Behaviour differs between versions. */
export const TESTED_VERSIONS: ReadonlyArray<string> = ["2.1.197"]

export class AgentHost extends Context.Service<
  AgentHost,
  {
    readonly settings: HostSettings
    /** The environment the runtime was started with. */
    readonly environment: Readonly<Record<string, string | undefined>>
    /** The executable, looked for once. */
    readonly command: Effect.Effect<string, ClaudeNotFound>
    /** Held while a CLI starts. */
    readonly gate: Semaphore.Semaphore
    /** Says once when a CLI is met that the tests did not run with. */
    met(version: string | undefined): Effect.Effect<void>
  }
>()("mister-smith/agent/AgentHost") {
  static readonly layer = (settings: HostSettings) =>
    Layer.effect(
      this,
      Effect.gen(function* () {
        const bus = yield* EventBus
        const environment = yield* HostEnvironment
        learn(CREDENTIALS.map((name) => Redacted.make(environment[name] ?? "")))
        learn(Object.values(settings.env))
        const warned = new Set<string>()
        return AgentHost.of({
          settings,
          environment,
          command: yield* commandOf(settings, environment),
          gate: yield* Semaphore.make(availableParallelism()),
          met: (version) =>
            Effect.suspend(() => {
              if (version === undefined || TESTED_VERSIONS.includes(version) || warned.has(version)) return Effect.void
              warned.add(version)
              return bus.publish({ type: "claude.untested", version, tested: TESTED_VERSIONS })
            })
        })
      })
    )
}
