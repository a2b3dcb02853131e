/**
 * Where an agent lives on disk: its CLI's private state, its settings, and a workspace where the config names none.
 * All of it is under the data directory, readable by its owner only, and survives a restart, so that conversations can
 * be resumed.
 */
import { Effect, FileSystem, Option, Path } from "effect"
import { HomeUnavailable } from "./AgentError.ts"
import { AgentHost } from "./AgentHost.ts"

export interface AgentHome {
  readonly configDir: string
  readonly settingsFile: string
  readonly workspace: string
}

/** Names the places; makes the directories that are the runtime's to make. */
export const prepare = Effect.fn("AgentHome.prepare")(
  function* (id: string, workspace: string | undefined) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const { settings } = yield* AgentHost
    const root = path.join(settings.dataDir, "agents", id)
    const home: AgentHome = {
      configDir: path.join(root, "claude"),
      settingsFile: path.join(root, "settings.json"),
      workspace: workspace ?? path.join(root, "workspace")
    }
    yield* fs.makeDirectory(home.configDir, { recursive: true, mode: 0o700 })
    if (workspace === undefined) yield* fs.makeDirectory(home.workspace, { recursive: true, mode: 0o700 })
    return home
  },
  (effect, id) => Effect.mapError(effect, (error) => new HomeUnavailable({ agent: id, reason: error.message }))
)

/** Transcripts that are searched for a prompt, at most: the latest, because it is looked for soon. */
const SEARCHED = 20

/**
 * In which conversation of the CLI is the prompt with this id? `session` is the one that the CLI has named, if it came to
 * that. Undefined where it has got into none: a CLI that is killed just after its start has written neither, and resuming
 * would then lose the prompt.
 */
export const whereIs = Effect.fn("AgentHome.whereIs")(function* (
  home: AgentHome,
  session: string | undefined,
  prompt: string
) {
  const fs = yield* FileSystem.FileSystem
  const all = yield* transcripts(home)
  const some = session === undefined ? yield* latest(all) : all.filter((each) => each.session === session)
  for (const { file, session } of some) {
    const text = yield* Effect.orElseSucceed(fs.readFileString(file), () => "")
    if (text.includes(prompt)) return session
  }
  return undefined
})

/** Does the CLI have anything of this conversation? */
export const has = (home: AgentHome, session: string) =>
  Effect.map(transcripts(home), (all) => all.some((each) => each.session === session))

interface Transcript {
  readonly session: string
  readonly file: string
}

/** In the CLI's own order: a directory for each place that it has worked in, a file for each conversation. */
const transcripts = Effect.fnUntraced(function* (home: AgentHome) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const list = (dir: string) => Effect.orElseSucceed(fs.readDirectory(dir), (): ReadonlyArray<string> => [])
  const projects = path.join(home.configDir, "projects")
  const found: Array<Transcript> = []
  for (const project of yield* list(projects)) {
    for (const name of yield* list(path.join(projects, project))) {
      if (name.endsWith(".jsonl"))
        found.push({ session: name.slice(0, -".jsonl".length), file: path.join(projects, project, name) })
    }
  }
  return found
})

const latest = Effect.fnUntraced(function* (all: ReadonlyArray<Transcript>) {
  const fs = yield* FileSystem.FileSystem
  const timed = yield* Effect.forEach(all, (each) =>
    Effect.map(Effect.option(fs.stat(each.file)), (info) => ({
      each,
      at: Option.match(
        Option.flatMap(info, ({ mtime }) => mtime),
        { onNone: () => 0, onSome: (date) => date.getTime() }
      )
    }))
  )
  return timed
    .sort((one, other) => other.at - one.at)
    .slice(0, SEARCHED)
    .map(({ each }) => each)
})
