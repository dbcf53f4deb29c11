import { Argument, type Command, type Option } from 'commander'
import type { Context } from '../context.ts'

const shells = ['bash', 'zsh'] as const

/** Completion by the shell, of the commands and options that there are. */
export function registerCompletion(program: Command, context: () => Context): void {
  program
    .command('completion')
    .summary('print the completion script of a shell')
    .description('Prints what makes a shell complete commands, options and their values.')
    .addArgument(new Argument('<shell>', 'which one').choices(shells))
    .addHelpText('after', `
Examples:
  source <(scheduled-images completion bash)
  scheduled-images completion bash | sudo tee /etc/bash_completion.d/scheduled-images > /dev/null
  scheduled-images completion zsh > "\${fpath[1]}/_scheduled-images"`)
    .action((shell: (typeof shells)[number]) => context().terminal.print((shell === 'bash' ? bash : zsh)(nodesOf(program, []))))
}

/** What may follow one command. */
interface Node {
  /** `apt-hook install`; empty for the program itself. */
  readonly path: string
  readonly commands: readonly Choice[]
  readonly options: readonly Option[]
  /** The choices of its arguments, in their order. */
  readonly arguments: readonly (readonly string[])[]
}

interface Choice {
  readonly word: string
  readonly meaning: string
}

function nodesOf(command: Command, ancestors: readonly Command[]): Node[] {
  const help = command.createHelp()
  const names = [...ancestors, command].slice(1).map((one) => one.name())
  const children = help.visibleCommands(command)
  const node: Node = {
    path: names.join(' '),
    commands: children.map((child) => ({ word: child.name(), meaning: child.summary() || child.description() })),
    options: [...help.visibleOptions(command), ...ancestors.flatMap((one) => help.visibleOptions(one).filter((option) => option.long !== '--help'))],
    arguments: command.registeredArguments.map(({ argChoices }) => argChoices ?? []),
  }
  return [node, ...children.filter((child) => child.name() !== 'help').flatMap((child) => nodesOf(child, [...ancestors, command]))]
}

function flagsOf({ short, long }: Option): string[] {
  return [short, long].filter((flag) => flag !== undefined && flag !== null)
}

/** What the value of an option is: one of some words, a path, or anything. */
function kindOf({ argChoices, flags }: Option): string {
  if (argChoices) return `words ${argChoices.join(' ')}`
  if (/<dir>/i.test(flags)) return 'directories'
  return /<(file|path)>/i.test(flags) ? 'files' : 'anything'
}

/** The functions that both shells share: which commands, options and values there are. */
function tables(nodes: readonly Node[]): string {
  const described = ({ word, meaning }: Choice) => `${word}:${meaning}`
  const rows = nodes.map(({ path, commands, options, arguments: given }) => ({
    path,
    commands: commands.map(described),
    options: options.flatMap((option) => flagsOf(option).map((word) => described({ word, meaning: option.description }))),
    values: options.filter(({ required, optional }) => required || optional).map((option) => `${flagsOf(option).map((flag) => quote(`${path} ${flag}`)).join('|')}) echo ${quote(kindOf(option))} ;;`),
    given: given.flatMap((choices, at) => (choices.length > 0 ? [`${quote(`${path} ${at}`)}) echo ${quote(choices.join(' '))} ;;`] : [])),
  }))
  const list = (name: string, about: string, field: 'commands' | 'options') => `# ${about}
_scheduled_images_${name}() {
  case "$1" in
${rows.filter((row) => row[field].length > 0).map((row) => `    ${quote(row.path)}) printf '%s\\n' ${row[field].map(quote).join(' ')} ;;`).join('\n')}
  esac
}
`
  const choose = (name: string, about: string, field: 'values' | 'given') => `# ${about}
_scheduled_images_${name}() {
  case "$1 $2" in
${rows.flatMap((row) => row[field].map((line) => `    ${line}`)).join('\n')}
  esac
}
`
  return [
    list('commands', 'The commands that follow a command, each with its meaning.', 'commands'),
    list('options', 'The options of a command, each with its meaning.', 'options'),
    choose('value', 'What the value of an option of a command is; nothing for an option without one.', 'values'),
    choose('argument', 'The words that an argument of a command may be.', 'given'),
  ].join('\n')
}

function quote(text: string): string {
  return `'${text.replaceAll('\'', String.raw`'\''`)}'`
}

/** Finds out which command the words before the cursor come to, and how many of its arguments are there. */
const walk = `  local line='' at=0 previous='' word
  for word in "\${before[@]}"; do
    if [ -n "$previous" ]; then
      [ "$word" = '=' ] && continue
      previous=''
    elif [ "\${word#-}" != "$word" ]; then
      [ -n "$(_scheduled_images_value "$line" "$word")" ] && previous=$word
    elif _scheduled_images_commands "$line" | grep -q "^$word:"; then
      line="\${line:+$line }$word"
    else
      at=$((at + 1))
    fi
  done
`

function bash(nodes: readonly Node[]): string {
  return `# Completion of scheduled-images for bash: source <(scheduled-images completion bash)
${tables(nodes)}
_scheduled_images() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words kind
  local -a before=("\${COMP_WORDS[@]:1:COMP_CWORD-1}")
  # bash makes words of --output=json.
  [ "$current" = '=' ] && current=''
${walk}
  local IFS=$'\\n'
  if [ -n "$previous" ]; then
    kind=$(_scheduled_images_value "$line" "$previous")
    case "$kind" in
      'words '*) COMPREPLY=($(compgen -W "$(printf '%s' "\${kind#words }" | tr ' ' '\\n')" -- "$current")) ;;
      directories) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$current")) ;;
      files) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")) ;;
      *) COMPREPLY=() ;;
    esac
    return
  fi
  if [ "\${current#-}" != "$current" ]; then
    words=$(_scheduled_images_options "$line" | cut -d: -f1)
  else
    words=$(_scheduled_images_commands "$line" | cut -d: -f1; _scheduled_images_argument "$line" "$at" | tr ' ' '\\n')
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _scheduled_images scheduled-images`
}

function zsh(nodes: readonly Node[]): string {
  return `#compdef scheduled-images
# Completion of scheduled-images for zsh: a file named _scheduled-images in a directory of $fpath.
${tables(nodes)}
_scheduled_images() {
  local kind
  local -a before=("\${words[@]:1:$((CURRENT - 2))}") found
${walk}
  if [ -n "$previous" ]; then
    kind=$(_scheduled_images_value "$line" "$previous")
    case "$kind" in
      'words '*) compadd -- \${=kind#words } ;;
      directories) _files -/ ;;
      files) _files ;;
    esac
    return
  fi
  if [ "\${words[CURRENT]#-}" != "\${words[CURRENT]}" ]; then
    found=("\${(@f)$(_scheduled_images_options "$line")}")
    _describe option found
    return
  fi
  found=("\${(@f)$(_scheduled_images_commands "$line")}")
  [ -n "\${found[1]}" ] && _describe command found
  kind=$(_scheduled_images_argument "$line" "$at")
  [ -n "$kind" ] && compadd -- \${=kind}
}

if [ "\${funcstack[1]}" = '_scheduled-images' ]; then
  _scheduled_images "$@"
else
  compdef _scheduled_images scheduled-images
fi`
}
