/**
 * How the CLI is called: which executable, which argv, which environment. Nothing here starts anything.
 *
 * Promises: no secret and no prompt is ever in argv, where every user of the machine could read it; the environment is
 * built from an allow-list, so that what the runtime was given for itself does not reach an agent; each agent has a
 * CLAUDE_CONFIG_DIR of its own, because processes that share one damage each other's files.
 */
import { accessSync, constants, statSync } from "node:fs"
import { delimiter, dirname, join, resolve } from "node:path"
import { Context, Redacted } from "effect"

/** The environment the runtime was started with. Replaced in tests. */
export const HostEnvironment = Context.Reference<Readonly<Record<string, string | undefined>>>(
  "mister-smith/claude/HostEnvironment",
  { defaultValue: () => process.env }
)

/** What an agent may inherit from the runtime: the basics of a Unix program, the way to the network, and Anthropic's own credentials. */
const INHERITED = [
  "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR",
  "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
  "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
  "ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS"
] // biome-ignore format: one group a line
const INHERITED_PREFIX = "LC_"

/** Any one of these is enough to be let in; their values are secret. */
export const CREDENTIALS = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"] as const

/** What the runtime wants of every CLI. A setting of the same name in `claude.env` wins. */
const DEFAULTS = {
  DISABLE_AUTOUPDATER: "1",
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  // The CLI alone would retry for three minutes in silence. The runtime backs off itself, where it can be seen.
  CLAUDE_CODE_MAX_RETRIES: "2"
} as const

export interface CommandSpec {
  readonly model: string | undefined
  readonly permissionMode: string
  /** The file that `settings` was written to. */
  readonly settingsFile: string
  /** Model round trips for one message. */
  readonly turns: number | undefined
  /** The session to go on with. */
  readonly resume: string | undefined
}

/**
 * The flags of a long-lived CLI. `--flag=value`, so that a value that begins with a dash is not read as a flag. System
 * prompts and schemas are not among them: `initialize` takes them at any length.
 */
export const argv = (spec: CommandSpec): ReadonlyArray<string> => [
  "-p",
  "--input-format=stream-json",
  "--output-format=stream-json",
  "--verbose",
  // A long answer is heard of while it is written: without it the CLI is silent until a block is whole.
  "--include-partial-messages",
  // The one sign that a message has got into a turn.
  "--replay-user-messages",
  `--permission-mode=${spec.permissionMode}`,
  `--settings=${spec.settingsFile}`,
  ...flag("model", spec.model),
  ...flag("max-turns", spec.turns),
  ...flag("resume", spec.resume)
]

const flag = (name: string, value: string | number | undefined) => (value === undefined ? [] : [`--${name}=${value}`])

/** The content of the settings file: permission rules may hold commas, spaces and parentheses, which flags do not take well. */
export const settings = (permissions: {
  readonly allow: ReadonlyArray<string>
  readonly deny: ReadonlyArray<string>
}) => JSON.stringify({ permissions: { allow: permissions.allow, deny: permissions.deny } }, undefined, 2)

/** The whole environment of an agent's CLI. */
export const environment = (
  host: Readonly<Record<string, string | undefined>>,
  configDir: string,
  own: Readonly<Record<string, string | Redacted.Redacted>>
): Record<string, string | Redacted.Redacted> => {
  const env: Record<string, string | Redacted.Redacted> = {}
  for (const [name, value] of Object.entries(host)) {
    if (value !== undefined && (INHERITED.includes(name) || name.startsWith(INHERITED_PREFIX))) env[name] = value
  }
  for (const name of CREDENTIALS) {
    const value = host[name]
    if (value !== undefined && value !== "") env[name] = Redacted.make(value)
  }
  return { ...env, ...DEFAULTS, ...own, CLAUDE_CONFIG_DIR: configDir }
}

/**
 * The CLI's executable: the one that is set (a path relative to `base`, or a name on PATH), else `claude` from PATH,
 * else the npm package's in a node_modules at or above `base` or this executable. Undefined where there is none.
 */
export const resolveCommand = (
  command: string | undefined,
  base: string,
  host: Readonly<Record<string, string | undefined>>
): string | undefined => {
  if (command?.includes("/")) {
    const path = resolve(base, command)
    return isExecutable(path) ? path : undefined
  }
  const onPath = (host["PATH"] ?? "")
    .split(delimiter)
    .filter((dir) => dir !== "")
    .map((dir) => join(dir, command ?? "claude"))
  const inPackages = command === undefined ? [base, dirname(process.execPath)].flatMap(ancestors) : []
  return [...onPath, ...inPackages.map((dir) => join(dir, "node_modules", ".bin", "claude"))].find(isExecutable)
}

const ancestors = (dir: string): ReadonlyArray<string> => {
  const parent = dirname(dir)
  return parent === dir ? [dir] : [dir, ...ancestors(parent)]
}

const isExecutable = (path: string) => {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
