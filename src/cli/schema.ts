/** `schema`: the JSON Schema of the config, which editors use through `$schema`. */
import { Console, Effect } from "effect"
import { jsonSchema } from "../config/JsonSchema.ts"

export const schema = Effect.suspend(() => Console.log(JSON.stringify(jsonSchema(), undefined, 2)))
