/**
 * `init`: asks a few questions and writes a first config, with the JSON Schema beside it that editors read. What is written
 * has passed the checks of `check`; nothing is written otherwise, and nothing is overwritten unless it is said to be.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { Effect, Schema } from "effect"
import { jsonSchema } from "../config/JsonSchema.ts"
import * as Load from "../config/Load.ts"
import { starter } from "../config/Starter.ts"
import { type Fault, follow } from "../domain/Fault.ts"
import { answers, FLAGS, type InitFlags } from "./InitAnswers.ts"
import { jsonLine, out, painter } from "./Printing.ts"
import { UsageWrong } from "./UsageFault.ts"

export interface InitInput extends InitFlags {
  readonly config: string
  readonly yes: boolean
  readonly force: boolean
  readonly json: boolean
}

/** Beside the config, so that an editor finds it without a network. */
const SCHEMA = "mister-smith.schema.json"

export const init = Effect.fn("cli.init")(function* (input: InitInput) {
  const { config: file, force, json, yes } = input
  const absolute = resolve(file)
  if (!force && existsSync(absolute)) {
    return yield* new UsageWrong({ problem: `${file} is there already`, advice: "overwrite it with --force" })
  }
  if (!yes && !(process.stdin.isTTY && process.stdout.isTTY)) {
    return yield* new UsageWrong({
      problem: "nobody can be asked: this is no terminal",
      advice: `take the defaults with --yes, and answer by flags what they do not: ${FLAGS}`
    })
  }
  const said = yield* answers(file, input, yes).pipe(Effect.catchTag("QuitError", () => Effect.fail(new InitQuit({}))))
  const config = starter(said, `./${SCHEMA}`)
  const baseDir = dirname(absolute)
  yield* Load.fromUnknown(config, { file, baseDir, env: process.env })
  const schema = join(baseDir, SCHEMA)
  yield* attempt(schema, () => write(schema, jsonSchema()))
  yield* attempt(file, () => write(absolute, config))
  if (json) return yield* jsonLine({ ok: true, file, schema: SCHEMA, config })
  const p = yield* painter
  yield* out(
    [
      `${file} is written, and is fine.`,
      "",
      `  ${p("bold", `mister-smith doctor ${file}`)}   what this machine offers, and what is missing`,
      `  ${p("bold", `mister-smith run ${file}`)}      start the agents`
    ].join("\n")
  )
})

/** To a new file that then takes the place: who reads meanwhile, or is killed, has the old one or the new one whole. */
const write = (file: string, value: unknown): void => {
  mkdirSync(dirname(file), { recursive: true })
  const next = `${file}.${process.pid}.new`
  try {
    const fd = openSync(next, "wx", 0o644)
    try {
      writeSync(fd, `${JSON.stringify(value, undefined, 2)}\n`)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(next, file)
  } catch (error) {
    rmSync(next, { force: true })
    throw error
  }
}

const attempt = (file: string, act: () => void) =>
  Effect.try({
    try: act,
    catch: (error) =>
      new UsageWrong({
        problem: `${file} cannot be written: ${error instanceof Error && "code" in error ? String(error.code) : String(error)}`,
        advice: "name a file in a directory that you may write to"
      })
  })

/** Whoever was asked went away. */
export class InitQuit extends Schema.TaggedError<InitQuit, Fault>("mister-smith/InitQuit")("InitQuit", {}) {
  static {
    follow(this, { severity: "low", recovery: "ignore" })
  }
  get exitCode() {
    return 130
  }
  override get message() {
    return "nothing is written"
  }
}
