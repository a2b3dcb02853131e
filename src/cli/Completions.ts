/**
 * The completion script of a shell: effect's, which knows the commands and their flags, and with it a few lines that ask
 * this program for the names on the running node (complete.ts). PowerShell gets effect's alone.
 */
import { Console, Effect, Option } from "effect"
import { CliConfig, Completions, GlobalFlag } from "effect/cli"

const NAME = "mister-smith"
/** What effect's scripts call themselves. */
const THEIRS = "_mister_smith"
const OURS = "_mister_smith_named"

/** The words before the cursor, and the one at it, which may be empty, go to the program; a word of its answer is a name. */
const BASH = `${OURS}()
{
  local cur prev words cword named
  _init_completion -n "$COMP_WORDBREAKS" || return
  [[ "$cur" == -* ]] || named=$("\${words[0]/#\\~/$HOME}" __complete "\${words[@]:1:cword-1}" "$cur" 2>/dev/null)
  ${THEIRS} "$@"
  COMPREPLY+=( $(compgen -W "$named" -- "$cur") )
}

complete -F ${OURS} ${NAME}`

const ZSH = `${OURS}() {
  local -a named
  named=(\${(f)"$("\${words[1]/#\\~/$HOME}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)"})
  (( $#named )) && compadd -a named
  ${THEIRS} "$@"
}

`

const FISH = `function ${OURS}
  set -l before (commandline -opc)
  set -l current (commandline -ct)
  test (count $before) -ge 2; or return
  ${NAME} __complete $before[2..-1] "$current" 2>/dev/null
end
complete -c ${NAME} -f -a '(${OURS})'
`

const END = `###-end-${NAME}-completions-###`

/** Each of these is in effect's script once; where it is not any more, the tests say so. */
const extended: { readonly [Shell in Completions.Shell]: (script: string) => string } = {
  bash: (script) => script.replace(`complete -F ${THEIRS} ${NAME}`, () => BASH),
  zsh: (script) =>
    script
      .replace("# Handle both", (line) => ZSH + line)
      .replace(`  ${THEIRS} "$@"\nelse`, () => `  ${OURS} "$@"\nelse`)
      .replace(`compdef ${THEIRS} ${NAME}`, () => `compdef ${OURS} ${NAME}`),
  fish: (script) => script.replace(END, () => FISH + END),
  powershell: (script) => script
}

export const scriptOf = (shell: Completions.Shell, command: Parameters<typeof Completions.fromCommand>[0]): string =>
  extended[shell](Completions.generate(command.name, shell, Completions.fromCommand(command)))

const flag = GlobalFlag.Action({
  flag: GlobalFlag.Completions.flag,
  run: (shell, { command }) => (Option.isNone(shell) ? Effect.void : Console.log(scriptOf(shell.value, command)))
})

/** In the place of effect's own. */
export const layer = CliConfig.layer({
  builtIns: GlobalFlag.BuiltIns.map((builtIn) => (builtIn === GlobalFlag.Completions ? flag : builtIn))
})
