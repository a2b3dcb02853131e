/** The JSON Schema of the config file, which editors use through `$schema`. */
import { Schema } from "effect"
import { ConfigFile } from "./Config.ts"

/** Draft 2020-12, as one object. */
export const jsonSchema = (): Record<string, unknown> => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(Schema.toEncoded(ConfigFile))
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "MisterSmith config",
    ...schema,
    ...(Object.keys(definitions).length === 0 ? {} : { $defs: definitions })
  }
}
