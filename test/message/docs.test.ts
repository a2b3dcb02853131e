/** The docs, the JSON Schema and the code say the same. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Validator } from "@cfworker/json-schema"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Result, Schema } from "effect"
import { COMMANDS } from "../../src/message/Command.ts"
import * as Envelope from "../../src/message/Envelope.ts"
import { jsonSchema } from "../../src/message/JsonSchema.ts"
import { MESSAGE_TYPES } from "../../src/message/Message.ts"
import * as Subject from "../../src/message/Subject.ts"
import { root } from "../utils/Binary.ts"

type Json = Record<string, unknown>
const docs = readFileSync(join(root, "docs/messages.md"), "utf8")
const examples = [...docs.matchAll(/```json\n(.*?)```/gs)].map(([, text = ""]) => JSON.parse(text) as Json)
const validator = new Validator(jsonSchema() as never, "2020-12")
const decodes = (value: unknown) =>
  Exit.isSuccess(Effect.runSync(Effect.exit(Envelope.decode(new TextEncoder().encode(JSON.stringify(value))))))
const isValid = (value: unknown) => validator.validate(value).valid

describe("docs/messages.md", () => {
  it("has an example of each type, under its name, that is read as it stands there", () => {
    for (const type of MESSAGE_TYPES) {
      const section = docs.split(`\n### ${type}\n`)[1]?.split(/\n##/)[0] ?? ""
      assert.include(section, `"type": "${type}"`, type)
    }
    for (const example of examples) {
      const read = Effect.runSync(Envelope.decode(new TextEncoder().encode(JSON.stringify(example))))
      assert.deepStrictEqual(JSON.parse(JSON.stringify(read)), example)
    }
  })

  it("names every command, every subject and every reason of a dead letter", () => {
    for (const command of COMMANDS) assert.include(docs, `\`${command}\``)
    for (const reason of Subject.DEAD_REASONS) assert.include(docs, `| \`${reason}\` |`)
    const { all } = Result.getOrThrow(Subject.make())
    for (const pattern of Object.values(all))
      assert.match(docs, new RegExp(`\\| \`${pattern.replaceAll(".", "\\.").replace(/[*>]/, "\\{\\w+\\}")}\``), pattern)
  })

  it("names every key of the envelope", () => {
    for (const key of Object.keys(Envelope.of("Done").fields)) assert.include(docs, `| \`${key}\` |`)
  })
})

describe("the JSON Schema of the messages", () => {
  it("takes the examples", () => {
    for (const example of examples) {
      const { errors, valid } = validator.validate(example)
      assert.isTrue(valid, JSON.stringify(errors))
    }
  })

  it("refuses what is not read, and takes what is: each example with each of its keys left out or made wrong", () => {
    let refused = 0
    const same = (value: unknown) => {
      const read = decodes(value)
      assert.strictEqual(isValid(value), read, JSON.stringify(value))
      if (!read) refused++
    }
    for (const example of examples) for (const changed of variants(example)) same(changed)
    assert.isAbove(refused, 100)
  })

  for (const type of MESSAGE_TYPES)
    it.prop(`takes whatever ${type} can be written`, [Envelope.of(type)], ([envelope]) => {
      const written = Effect.runSync(Envelope.encode(envelope as Envelope.Envelope))
      const text = new TextDecoder().decode(written)
      // Half of a character as a key is more than the validator can name.
      if (/\\ud[89a-f]/i.test(text)) return
      const { errors, valid } = validator.validate(JSON.parse(text))
      assert.isTrue(valid, JSON.stringify(errors.at(-1)))
    })

  it("is plain JSON", () => {
    assert.isTrue(Exit.isSuccess(Schema.decodeUnknownExit(Schema.Json)(jsonSchema())))
  })
})

/** The same with one key, at whatever depth, left out or of another kind. */
function* variants(json: Json): Iterable<Json> {
  for (const [key, value] of Object.entries(json)) {
    const { [key]: _, ...rest } = json
    yield rest
    for (const other of [null, 1.5, -1, "", "a b", "x\ny", [], {}, true]) yield { ...json, [key]: other }
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      for (const inner of variants(value as Json)) yield { ...json, [key]: inner }
  }
}
