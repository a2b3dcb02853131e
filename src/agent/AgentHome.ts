/**
 * Where an agent lives on disk: its CLI's private state, its settings, and a workspace where the config names none.
 * All of it is under the data directory, readable by its owner only, and survives a restart, so that conversations can
 * be resumed.
 */
import { Effect, FileSystem, Path } from "effect"
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

/**
 * Does the CLI still have the conversation, and has the prompt with this id got into it? A CLI that is killed just after
 * its start has written neither, and resuming would then lose the prompt.
 */
export const remembers = Effect.fn("AgentHome.remembers")(
  function* (home: AgentHome, session: string, prompt: string) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const projects = path.join(home.configDir, "projects")
    const names = yield* fs.readDirectory(projects)
    for (const name of names) {
      const text = yield* Effect.orElseSucceed(
        fs.readFileString(path.join(projects, name, `${session}.jsonl`)),
        () => ""
      )
      if (text.includes(prompt)) return true
    }
    return false
  },
  Effect.orElseSucceed(() => false)
)
