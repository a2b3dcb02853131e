/** Writes the JSON Schema of the config to docs/config.schema.json, where the examples find it. `bun scripts/schema.ts` */
import { writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { jsonSchema } from "../src/config/JsonSchema.ts"

const file = join(dirname(dirname(fileURLToPath(import.meta.url))), "docs", "config.schema.json")
writeFileSync(file, `${JSON.stringify(jsonSchema(), undefined, 2)}\n`)
console.log(file)
