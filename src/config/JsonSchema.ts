/**
 * The JSON Schema of the config file, which editors use through `$schema`: the schemas' own, with each key's description
 * and default put where editors look for them.
 */
import { JsonSchema, Schema, SchemaAST } from "effect"
import { patternOf } from "../domain/SchemaPattern.ts"
import { ConfigFile } from "./Config.ts"

type Json = Record<string, unknown>
const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

/** What an empty agent, task and file decode to, written back: the defaults. */
const defaults = (): unknown => {
  const smallest = { agents: [{ id: "a" }], tasks: [{ prompt: "p" }] }
  return Schema.encodeSync(ConfigFile)(Schema.decodeUnknownSync(ConfigFile)(smallest))
}

/** As one object, in draft 07: the one that every editor knows. */
export const jsonSchema = (): Json => {
  const document = Schema.toJsonSchemaDocument(Schema.toEncoded(ConfigFile), { onExcessProperty: "error" })
  const described = describe(ConfigFile.ast, document.schema, defaults())
  const { definitions, schema } = JsonSchema.toDocumentDraft07({
    ...document,
    schema: isObject(described) ? described : document.schema
  })
  return {
    $schema: JsonSchema.META_SCHEMA_URI_DRAFT_07,
    title: "MisterSmith config",
    ...schema,
    ...(Object.keys(definitions).length === 0 ? {} : { definitions })
  }
}

/** Walks the schema and its JSON side by side. */
const describe = (ast: SchemaAST.AST, json: unknown, initial: unknown): unknown => {
  if (!isObject(json)) return json
  const pattern = patternOf(SchemaAST.toEncoded(ast))
  if (pattern !== undefined) return { ...json, pattern }
  if (SchemaAST.isArrays(ast)) {
    const items = ast.rest[0]
    const sample = Array.isArray(initial) ? initial[0] : undefined
    return items === undefined ? json : { ...json, items: describe(items, json["items"], sample) }
  }
  const properties = json["properties"]
  if (!SchemaAST.isObjects(ast) || !isObject(properties)) return json
  const described = ast.propertySignatures.map(({ name, type }) => {
    const key = String(name)
    const value = isObject(initial) ? initial[key] : undefined
    const inner = describe(type, properties[key], value)
    const description = type.context?.annotations?.["description"]
    const isDefault = type.context?.isOptional === true || !isRequired(json, key)
    return [
      key,
      {
        ...(typeof description === "string" ? { description } : {}),
        ...(isObject(inner) ? withoutEmpty(inner) : {}),
        ...(isDefault && isPlain(value) ? { default: value } : {})
      }
    ] as const
  })
  return { ...json, properties: Object.fromEntries(described) }
}

/** Of what holds more, the parts have defaults of their own. */
const isPlain = (value: unknown) =>
  value !== undefined && !isObject(value) && !(Array.isArray(value) && value.length > 0)

const isRequired = (json: Json, key: string) => Array.isArray(json["required"]) && json["required"].includes(key)

/** A description that stands alone in `allOf` has been put beside it. */
const withoutEmpty = ({ allOf, ...json }: Json): Json => {
  const rest = Array.isArray(allOf)
    ? allOf.filter((each) => !isObject(each) || Object.keys(each).some((key) => key !== "description"))
    : []
  return rest.length > 0 ? { ...json, allOf: rest } : json
}
