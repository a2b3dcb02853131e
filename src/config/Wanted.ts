/** What the schema wants at a place of the file: which keys there may be, and what kind of value. */
import { Schema, SchemaAST } from "effect"
import { ConfigFile } from "./Config.ts"
import { type Path, valueAt } from "./Place.ts"

type Wanted = ReadonlyArray<SchemaAST.AST>

/** What may be left out is a union with undefined. */
const members = (ast: SchemaAST.AST): Wanted =>
  SchemaAST.isUnion(ast) ? ast.types.flatMap(members) : SchemaAST.isUndefined(ast) ? [] : [ast]

/** Of objects that a word in them tells apart, only those that the word allows; all where it allows none. */
const fitting = (asts: Wanted, value: unknown): Wanted => {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value)
  const fits = asts.filter((ast) =>
    !SchemaAST.isObjects(ast)
      ? // Text, where it may stand in the place of an object, is not what was meant.
        !isObject
      : ast.propertySignatures.every(({ name, type }) => {
          const word = valueAt(value, [name])
          return !SchemaAST.isLiteral(type) || word === undefined || word === type.literal
        })
  )
  return fits.length > 0 ? fits : asts
}

const child = (ast: SchemaAST.AST, step: PropertyKey): Wanted => {
  if (SchemaAST.isArrays(ast)) {
    const item = typeof step === "number" ? (ast.elements[step] ?? ast.rest[0]) : undefined
    return item === undefined ? [] : members(item)
  }
  if (!SchemaAST.isObjects(ast)) return []
  const type = ast.propertySignatures.find(({ name }) => name === step)?.type ?? ast.indexSignatures[0]?.type
  return type === undefined ? [] : members(type)
}

/** Everything that may stand at a place, given what stands around it; nothing where the schema knows of no such place. */
export const wantedAt = (path: Path, root: unknown): Wanted => {
  let wanted = fitting(members(SchemaAST.toEncoded(ConfigFile.ast)), root)
  let value = root
  for (const step of path) {
    value = valueAt(value, [step])
    wanted = fitting(
      wanted.flatMap((ast) => child(ast, step)),
      value
    )
  }
  return wanted
}

/** Whether this could stand at a place. */
export const wouldTake = (path: Path, root: unknown, value: unknown): boolean =>
  wantedAt(path, root).some((ast) => Schema.is(Schema.make(ast))(value))

/** The keys that an object at this place may have. */
export const keysAt = (path: Path, root: unknown): ReadonlyArray<string> => [
  ...new Set(
    wantedAt(path, root).flatMap((ast) =>
      SchemaAST.isObjects(ast) ? ast.propertySignatures.map(({ name }) => String(name)) : []
    )
  )
]

/** Where one of several objects may stand: the key that tells them apart, and its words. */
export const wordsAt = (
  path: Path,
  root: unknown
): { readonly key: string; readonly words: ReadonlyArray<string> } | undefined => {
  const words = wantedAt(path, root).flatMap((ast) =>
    SchemaAST.isObjects(ast)
      ? ast.propertySignatures.flatMap(({ name, type }) =>
          SchemaAST.isLiteral(type) ? [{ key: String(name), word: String(type.literal) }] : []
        )
      : []
  )
  const key = words[0]?.key
  return key === undefined ? undefined : { key, words: words.flatMap((each) => (each.key === key ? [each.word] : [])) }
}

/** An object whose keys are the user's own. */
export const isOpen = (ast: SchemaAST.AST): boolean => SchemaAST.isObjects(ast) && ast.indexSignatures.length > 0
