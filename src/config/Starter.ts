/** A first config: few answers become what a person would have written. Pure; whoever writes it down checks it as any other. */
import type { ConfigInput } from "./Config.ts"

/** The variables by which a CLI is given what it logs in with. */
export const CREDENTIALS = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"] as const

export interface Answers {
  readonly name: string
  readonly agent: string
  /** How many of that kind. */
  readonly agents: number
  /** A directory, relative to the file; a directory of its own for each where not said. */
  readonly workspace: string | undefined
  readonly model: string | undefined
  /** Where the credential is kept. Not said: the CLI has its own, or finds it in the node's environment. */
  readonly credential: { readonly env: string } | { readonly file: string } | undefined
  readonly as: (typeof CREDENTIALS)[number]
  readonly permissions: string
}

/** With what was asked for said out loud, defaults too, so that it can be seen and changed; nothing else. */
export const starter = (answers: Answers, schema: string): ConfigInput => {
  const { agent, agents, as, credential, model, name, permissions, workspace } = answers
  const claude = {
    ...(model === undefined ? {} : { model }),
    ...(credential === undefined ? {} : { env: { [as]: credential } })
  }
  return {
    $schema: schema,
    name,
    ...(Object.keys(claude).length === 0 ? {} : { claude }),
    agents: [
      {
        id: agent,
        replicas: agents,
        ...(workspace === undefined ? {} : { workspace }),
        permissions: { mode: permissions as "default", allow: [], deny: [] }
      }
    ]
  }
}
