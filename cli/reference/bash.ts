import type { CommandDescription } from './describe.ts';
import { leafCommands } from './describe.ts';

/**
 * Returns the text of completions/kiln.bash. The script does not need the package bash-completion.
 * Bash splits words at `=` and `:`. So the script splits the line at blanks itself, compares whole
 * words, and removes from each match the part before the last `=` or `:`.
 */
export function bashCompletion(commands: readonly CommandDescription[]): string {
  const all = leafCommands(commands);
  return `# bash completion for kiln. Written by scripts/reference.ts.

_kiln_words() {
  case $1 in
${cases([['', topLevel(commands)], ...groups(commands)])}
  esac
}

_kiln_flags() {
  case $1 in
${cases(all.map((command) => [command.words.join(' '), flagsOf(command)]))}
  esac
}

# Flags whose value is the next word.
_kiln_valued() {
  case $1 in
${cases(all.map((command) => [command.words.join(' '), valued(command)]))}
  esac
}

_kiln_values() {
  case $1 in
${cases(all.flatMap(values))}
  esac
}

_kiln() {
  local line=\${COMP_LINE:0:COMP_POINT} current= command= before= candidates= mark
  local -a words=()
  read -ra words <<<"$line"
  if [[ $line != *[[:blank:]] ]]; then
    current=\${words[\${#words[@]} - 1]}
    unset "words[\${#words[@]} - 1]"
  fi
  COMPREPLY=()
  command=\${words[1]-}
  if [[ -n $command && -n $(_kiln_words "$command") ]]; then
    if [[ -z \${words[2]-} ]]; then
      candidates=$(_kiln_words "$command")
    else
      command="$command \${words[2]}"
    fi
  elif [[ -z $command ]]; then
    candidates=$(_kiln_words '')
  fi
  before=\${words[\${#words[@]} - 1]}
  mark=$current
  if [[ -z $candidates ]]; then
    if [[ $current == --*=* ]]; then
      candidates=$(_kiln_values "$command \${current%%=*}")
      mark=\${current#*=}
    elif [[ " $(_kiln_valued "$command") " == *" $before "* ]]; then
      candidates=$(_kiln_values "$command $before")
    elif [[ $current == -* ]]; then
      candidates=$(_kiln_flags "$command")
    else
      candidates=$(_kiln_values "$command")
    fi
  fi
  if [[ -z $candidates ]]; then
    compopt -o default 2>/dev/null
    return
  fi
  local prefix=\${mark%"\${mark##*[=:]}"} match
  while read -r match; do
    [[ -n $match ]] || continue
    [[ $match == *= ]] && compopt -o nospace 2>/dev/null
    COMPREPLY+=("\${match#"$prefix"}")
  done < <(compgen -W "$candidates" -- "$mark")
}

complete -F _kiln kiln
`;
}

/** Returns the words that can follow `kiln`. */
export function topLevel(commands: readonly CommandDescription[]): readonly string[] {
  return [...commands.map(({ words }) => words[0] ?? ''), 'help', 'version'];
}

function groups(
  commands: readonly CommandDescription[],
): readonly (readonly [string, readonly string[]])[] {
  return commands
    .filter((command) => command.commands.length > 0)
    .map((group) => [group.words.join(' '), group.commands.map(({ words }) => words.at(-1) ?? '')]);
}

function flagsOf({ flags }: CommandDescription): readonly string[] {
  return [...flags.map(({ long }) => long), '--help'];
}

function valued({ flags }: CommandDescription): readonly string[] {
  return flags
    .filter(({ value }) => value !== undefined)
    .flatMap(({ long, short }) => [long, ...(short ? [short] : [])]);
}

/**
 * Returns the values that can be completed. The key of a flag's values is the command with the
 * flag. The key of the arguments' values is the command.
 */
function values({
  words,
  flags,
  arguments: positional,
}: CommandDescription): readonly (readonly [string, readonly string[]])[] {
  const name = words.join(' ');
  return [
    [name, positional.flatMap((argument) => argument.values)],
    ...flags.flatMap(({ long, short, values: given }) =>
      [long, ...(short ? [short] : [])].map((flag): readonly [string, readonly string[]] => [
        `${name} ${flag}`,
        given,
      ]),
    ),
  ];
}

function cases(entries: readonly (readonly [string, readonly string[]])[]): string {
  return entries
    .filter(([, words]) => words.length > 0)
    .map(([name, words]) => `    '${name}') echo '${words.join(' ')}' ;;`)
    .join('\n');
}
