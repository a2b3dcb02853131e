/** The JSON Schema of all messages, for those who write or read them without our code: one document, a `$defs` for each type. */
import { JsonSchema, Schema, SchemaAST } from "effect"
import { patternOf } from "../domain/SchemaPattern.ts"
import * as Envelope from "./Envelope.ts"
import { MESSAGE_TYPES, type MessageType } from "./Message.ts"

type Json = Record<string, unknown>
const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

/** As one object, in draft 2020-12. Other keys are allowed: readers pass over what they do not know. */
export const jsonSchema = (): Json => ({
  $schema: JsonSchema.META_SCHEMA_URI_DRAFT_2020_12,
  title: "MisterSmith messages",
  description: "Each message in its envelope, as JSON in UTF-8. docs/messages.md says which subject takes which",
  oneOf: MESSAGE_TYPES.map((type) => ({ $ref: `#/$defs/${type}` })),
  $defs: Object.fromEntries(MESSAGE_TYPES.map((type) => [type, schemaOf(type)]))
})

const schemaOf = (type: MessageType): unknown => {
  const { ast } = Envelope.of(type)
  return complete(ast, Schema.toJsonSchemaDocument(Envelope.of(type)).schema)
}

/** Walks the schema and its JSON side by side, and adds the patterns, which effect leaves out because they may have flags. */
const complete = (ast: SchemaAST.AST, json: unknown): unknown => {
  if (!isObject(json)) return json
  const { allOf, ...plain } = json
  const pattern = patternOf(ast)
  const whole = { ...plain, ...hoisted(allOf), ...(pattern === undefined ? {} : { pattern }) }
  const { anyOf, items, properties } = json
  if (SchemaAST.isArrays(ast) && ast.rest[0] !== undefined) return { ...whole, items: complete(ast.rest[0], items) }
  if (SchemaAST.isUnion(ast) && Array.isArray(anyOf))
    return { ...whole, anyOf: anyOf.map((each, index) => complete(ast.types[index] ?? ast, each)) }
  if (!SchemaAST.isObjects(ast) || !isObject(properties)) return whole
  const parts = ast.propertySignatures.map(({ name, type }) => [String(name), complete(type, properties[String(name)])])
  return { ...whole, properties: Object.fromEntries(parts) }
}

/** A description that stands alone in `allOf` is put where tools look for it. */
const hoisted = (allOf: unknown): Json => {
  const parts = Array.isArray(allOf) ? allOf.filter(isObject) : []
  const [first, ...more] = parts
  return first !== undefined && more.length === 0 ? first : parts.length === 0 ? {} : { allOf: parts }
}
