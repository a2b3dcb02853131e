import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Validator } from "@cfworker/json-schema"
import { assert, describe, it } from "vitest"
import { jsonSchema } from "../../src/config/JsonSchema.ts"
import { root } from "../utils/Binary.ts"

interface Json {
  readonly type?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, Json>>
  readonly additionalProperties?: unknown
  readonly items?: Json
}

const schema = jsonSchema() as Json

/** Every key with its path, such as `agents[].limits.turns`. */
function* keys(json: Json, path: string): Iterable<readonly [string, Json]> {
  for (const [key, value] of Object.entries(json.properties ?? {})) {
    const here = path === "" ? key : `${path}.${key}`
    yield [here, value]
    yield* keys(value, here)
    if (value.items !== undefined) yield* keys(value.items, `${here}[]`)
  }
}

describe("the JSON Schema of the config", () => {
  it("describes every key", () => {
    for (const [path, { description }] of keys(schema, "")) assert.isString(description, path)
  })

  it("is closed: a key that is not known is a mistake in the editor too", () => {
    assert.isFalse(schema.additionalProperties)
    for (const [path, { additionalProperties, properties }] of keys(schema, "")) {
      if (properties !== undefined) assert.isFalse(additionalProperties, path)
    }
  })

  it("is the one that docs/config.schema.json holds", () => {
    const kept = JSON.parse(readFileSync(join(root, "docs/config.schema.json"), "utf8"))
    assert.deepStrictEqual(kept, JSON.parse(JSON.stringify(schema)), "run: bun scripts/schema.ts")
  })

  it("has every key explained in docs/config.md", () => {
    const docs = readFileSync(join(root, "docs/config.md"), "utf8")
    for (const [path] of keys(schema, "")) assert.include(docs, `\`${path}\``)
  })

  it("accepts the examples, and the JSON of the docs", () => {
    const validator = new Validator(schema as object, "7")
    const examples = readdirSync(join(root, "examples"))
      .filter((name) => name.endsWith(".json") && !name.includes("standin"))
      .map((name) => readFileSync(join(root, "examples", name), "utf8"))
    const docs = ["docs/config.md", "README.md"].flatMap((file) =>
      [...readFileSync(join(root, file), "utf8").matchAll(/```json\n([\s\S]*?)```/g)].map((match) => match[1] ?? "")
    )
    assert.isAbove(examples.length, 0)
    assert.isAbove(docs.length, 2)
    for (const text of [...examples, ...docs]) {
      const { errors, valid } = validator.validate(JSON.parse(text))
      assert.isTrue(valid, `${text}\n${JSON.stringify(errors)}`)
    }
  })
})
