/** Which files a task comes with: where each is, and what it is called there where it is worked with. */
import { basename, resolve } from "node:path"
import { Schema } from "effect"
import { Text } from "../domain/Text.ts"
import type { TaskSpec } from "./TaskSpec.ts"

/** The most files of a task. */
export const MAX_FILES = 20
/** All of them together, in bytes. */
export const MAX_BYTES = 64 * 1024 * 1024
/** The longest path, in characters, and the longest name, in bytes: longer ones no system takes. */
const MAX_PATH = 4096
const MAX_NAME = 255

const isName = (name: string) =>
  name !== "." && name !== ".." && !name.includes("/") && Buffer.byteLength(name) <= MAX_NAME

const FilePath = Text.pipe(
  Schema.check(
    Schema.isMaxLength(MAX_PATH, { message: `expected at most ${MAX_PATH} characters` }),
    Schema.makeFilter((path: string) => !path.endsWith("/") && isName(basename(path)), {
      message: "expected the path of a file"
    })
  )
)

/** One line, because the agent is told it in one. */
const Name = Text.pipe(
  Schema.check(
    Schema.makeFilter((name: string) => isName(name) && !/\p{Cc}/u.test(name), {
      message: `expected a name of at most ${MAX_NAME} bytes, without a slash`
    })
  )
)

export const FileSpec = Schema.Union([
  FilePath,
  Schema.Struct({
    path: FilePath.annotateKey({ description: "Where it is; a relative path begins at the config file" }),
    name: Schema.optionalKey(Name).annotateKey({
      description: "What it is called there. Default: as it is called here"
    })
  })
])

export const FileSpecs = Schema.Array(FileSpec).pipe(
  Schema.check(
    Schema.isMaxLength(MAX_FILES, { message: `expected at most ${MAX_FILES} files` }),
    Schema.makeFilter((files) => new Set(files.map(nameOf)).size === files.length, {
      message: 'expected files of different names; give each a "name"'
    })
  )
)

type File = typeof FileSpec.Type

export const pathOf = (file: File): string => (typeof file === "string" ? file : file.path)

export const nameOf = (file: File): string =>
  typeof file === "string" ? basename(file) : (file.name ?? basename(file.path))

/** The same task, its paths beginning at the root. */
export const withPaths = <Spec extends Pick<TaskSpec, "files">>(spec: Spec, baseDir: string): Spec =>
  spec.files === undefined
    ? spec
    : {
        ...spec,
        files: spec.files.map((file) =>
          typeof file === "string" ? resolve(baseDir, file) : { ...file, path: resolve(baseDir, file.path) }
        )
      }
