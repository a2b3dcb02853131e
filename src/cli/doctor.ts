/**
 * `doctor`: what this machine offers, and what is wrong with it, with the CLI, with the place of the node, with its
 * servers, and with a config. Each line has a verdict, and a hint where something can be done. Fails with `Unwell` where something is a problem.
 */
import { existsSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { Console, Effect, Option, Result, Schema } from "effect"
import { TerminalCapabilities } from "effect/cli"
import { type Config, DATA_DIR } from "../config/Config.ts"
import type { ConfigInvalid, ConfigUnreadable } from "../config/ConfigError.ts"
import * as Load from "../config/Load.ts"
import { type Fault, follow } from "../domain/Fault.ts"
import * as Rungs from "../process/Rungs.ts"
import * as Checkup from "./Checkup.ts"
import { USUAL_CONFIG } from "./UsualConfig.ts"
import { harmless, type Paint, paint } from "./Words.ts"
import { workspaces } from "./WorkspaceCheckup.ts"

/** Something must be changed before a node runs well, or at all. */
export class Unwell extends Schema.TaggedError<Unwell, Fault>("mister-smith/Unwell")("Unwell", {
  problems: Schema.Int
}) {
  static {
    follow(this, { severity: "high", recovery: "escalate" })
  }
  override get message() {
    return this.problems === 1 ? "there is a problem" : `there are ${this.problems} problems`
  }
}

export interface DoctorInput {
  readonly config: Option.Option<string>
  readonly json: boolean
}

export const doctor = Effect.fn("cli.doctor")(function* ({ config: given, json }: DoctorInput) {
  const file = Option.getOrElse(given, () => (existsSync(USUAL_CONFIG) ? USUAL_CONFIG : undefined))
  const loaded = file === undefined ? undefined : yield* Effect.result(Load.load(file, process.env))
  const config = loaded !== undefined && Result.isSuccess(loaded) ? loaded.success : undefined
  const baseDir = config?.baseDir ?? dirname(resolve(file ?? USUAL_CONFIG))
  const rungs = Rungs.probe()
  const findings = [
    ...Checkup.machine(rungs, config),
    ...(yield* Checkup.claude(config, baseDir)),
    ...(yield* Checkup.node(config?.dataDir ?? resolve(baseDir, DATA_DIR))),
    ...(yield* workspaces(config, config?.dataDir ?? resolve(baseDir, DATA_DIR))),
    ...(yield* servers(config)),
    ...(file === undefined || loaded === undefined ? [] : written(file, loaded)),
    ...(config === undefined ? [] : Checkup.agents(rungs, config))
  ].map(harmless)
  const count = (verdict: Checkup.Verdict) => findings.filter((finding) => finding.verdict === verdict).length
  const problems = count("problem")
  if (json) {
    for (const finding of findings) yield* Console.log(JSON.stringify({ type: "finding", ...finding }))
    const summary = { ok: problems === 0, problems, warnings: count("warning"), rungs }
    yield* Console.log(JSON.stringify({ type: "summary", ...summary }))
  } else {
    const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
    yield* Console.log(table(findings, paint(canColor)).join("\n"))
  }
  if (problems > 0) return yield* new Unwell({ problems })
})

/** What its servers offer, where it has some. */
const servers = Effect.fnUntraced(function* (config: Config | undefined) {
  if (config === undefined || config.transport.kind === "memory") return []
  const { servers } = yield* Effect.promise(() => import("../fleet/NatsCheckup.ts"))
  return (yield* servers(config)).map((finding): Checkup.Finding => ({ about: "servers", ...finding }))
})

/** All that `check` finds. */
const written = (
  file: string,
  loaded: Result.Result<unknown, ConfigInvalid | ConfigUnreadable>
): ReadonlyArray<Checkup.Finding> => {
  const base = { about: "config", name: file } as const
  if (Result.isSuccess(loaded)) return [{ ...base, verdict: "ok", says: "nothing is wrong with it" }]
  const error = loaded.failure
  if (error._tag === "ConfigUnreadable") return [{ ...base, verdict: "problem", says: error.reason }]
  return error.mistakes.map(({ at, expected, found, line, suggestion }) => ({
    ...base,
    verdict: "problem",
    says: `${at}${line === undefined ? "" : ` (line ${line})`}: ${expected}${found === undefined ? "" : `, found ${found}`}`,
    ...(suggestion === undefined ? {} : { hint: suggestion })
  }))
}

const STYLE = { ok: "green", warning: "yellow", problem: "red" } as const
const WIDEST = "problem".length

const table = (findings: ReadonlyArray<Checkup.Finding>, p: Paint): ReadonlyArray<string> => {
  const width = Math.max(...findings.map(({ name }) => name.length))
  const indent = " ".repeat(2 + WIDEST + 2 + width + 2)
  return [...Map.groupBy(findings, ({ about }) => about)].flatMap(([about, list]) => [
    p("bold", about),
    ...list.flatMap(({ hint, name, says, verdict }) => [
      `  ${p(STYLE[verdict], verdict.padEnd(WIDEST))}  ${name.padEnd(width)}  ${says}`,
      ...(hint === undefined ? [] : [`${indent}${p("dim", `hint: ${hint}`)}`])
    ])
  ])
}
