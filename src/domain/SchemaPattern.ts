/** What effect leaves out of a JSON Schema, because a pattern may have flags that JSON Schema does not know. Ours have none. */
import { SchemaAST } from "effect"

export const patternOf = (ast: SchemaAST.AST): string | undefined => {
  for (const check of SchemaAST.isString(ast) ? (ast.checks ?? []) : []) {
    const written = check.annotations?.representation
    if (written?.id !== "effect/schema/isPattern" || !isObject(written.payload)) continue
    const { flags, source } = written.payload
    if (flags === "" && typeof source === "string") return source
  }
  return undefined
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
