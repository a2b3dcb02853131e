/**
 * Where the node of a config file keeps its state: as much of the file as a command needs that only wants to reach the
 * node. What else is wrong with the file, or secret in it, is no concern of its.
 */
import { dirname, resolve } from "node:path"
import { Effect, Option } from "effect"
import { DATA_DIR } from "./Config.ts"
import { ConfigInvalid, ConfigUnreadable } from "./ConfigError.ts"
import { Files } from "./Files.ts"
import { parse } from "./Json.ts"
import { MAX_FILE } from "./Load.ts"
import type { Surroundings } from "./Outside.ts"
import { override } from "./Overrides.ts"
import { valueAt } from "./Place.ts"

export const dataDirOf = Effect.fn("config.dataDirOf")(function* (file: string, env: Surroundings["env"]) {
  const bytes = yield* Effect.mapError(
    (yield* Files).read(file, MAX_FILE),
    (reason) => new ConfigUnreadable({ file, reason })
  )
  const { value } = yield* Effect.mapError(
    parse(new TextDecoder().decode(bytes)),
    ({ column, expected, line }) =>
      new ConfigInvalid({ file, mistakes: [{ at: `line ${line}, column ${column}`, expected, line, column }] })
  )
  const said = Option.liftPredicate(
    valueAt(override(value, env).root, ["dataDir"]),
    (dataDir): dataDir is string => typeof dataDir === "string" && dataDir !== ""
  )
  return resolve(
    dirname(resolve(file)),
    Option.getOrElse(said, () => DATA_DIR)
  )
})
