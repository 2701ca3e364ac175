import type { ArgumentDescription, CommandDescription, FlagDescription } from './describe.ts';

/** Returns the text of completions/_kiln. It works in a directory of `fpath` and when sourced. */
export function zshCompletion(commands: readonly CommandDescription[]): string {
  return `#compdef kiln
# zsh completion for kiln. Written by scripts/reference.ts.

_kiln() {
  local curcontext="$curcontext" context state line
  typeset -A opt_args
  local -a commands
  if (( CURRENT == 2 )); then
    commands=(
${commands.map((command) => `      ${described(command)}`).join('\n')}
      'help:Print the help of a command'
      'version:Print the version'
    )
    _describe -t commands 'kiln command' commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${commands.map((command) => branch(command, '    ')).join('\n')}
    *) _files ;;
  esac
}

if [[ \${funcstack[1]-} == _kiln ]]; then
  _kiln "$@"
else
  compdef _kiln kiln
fi
`;
}

function branch(command: CommandDescription, indent: string): string {
  const name = command.words.at(-1) ?? '';
  if (command.commands.length === 0) {
    const specs = [...command.flags.flatMap(flagSpecs), ...command.arguments.map(argumentSpec)];
    const lines = specs.map((spec) => `${indent}    ${spec}`).join(' \\\n');
    return (
      `${indent}${name})\n` +
      `${indent}  _arguments -s -S \\\n` +
      `${indent}    '(- *)'{-h,--help}'[Print the help]' \\\n` +
      `${lines}\n` +
      `${indent}  ;;`
    );
  }
  return `${indent}${name})
${indent}  if (( CURRENT == 2 )); then
${indent}    commands=(
${command.commands.map((one) => `${indent}      ${described(one)}`).join('\n')}
${indent}    )
${indent}    _describe -t commands '${name} command' commands
${indent}    return
${indent}  fi
${indent}  command=$words[2]
${indent}  shift words
${indent}  (( CURRENT-- ))
${indent}  case $command in
${command.commands.map((one) => branch(one, `${indent}    `)).join('\n')}
${indent}  esac
${indent}  ;;`;
}

function described({ words, summary }: CommandDescription): string {
  return quoted(`${words.at(-1)}:${summary.replaceAll(':', '\\:')}`);
}

function flagSpecs(flag: FlagDescription): readonly string[] {
  const { long, short, value, several, text } = flag;
  const names = [long, ...(short ? [short] : [])];
  return names.map((name) => {
    const exclusive = several ? '*' : names.length > 1 ? `(${names.join(' ')})` : '';
    const attached = value === undefined ? '' : name.startsWith('--') ? '=' : '+';
    return quoted(
      `${exclusive}${name}${attached}[${spec(text)}]` +
        `${value === undefined ? '' : `:${spec(value)}:${action(flag)}`}`,
    );
  });
}

function argumentSpec({ name, required, several, values, text }: ArgumentDescription): string {
  const colons = required ? ':' : '::';
  return quoted(
    `${several ? '*' : ''}${several ? ':' : colons}` +
      `${spec(text || name)}:${action({ value: name, values })}`,
  );
}

/**
 * Returns the zsh action that completes a value. It adds no blank after a value that ends in `=`.
 */
function action({ values, value }: Pick<FlagDescription, 'values' | 'value'>): string {
  if (values.some((word) => word.endsWith('='))) return `{compadd -S "" -- ${values.join(' ')}}`;
  if (values.length > 0) return `(${values.join(' ')})`;
  return /file|path|dir|context|source|dest|argument|spec/.test(value ?? '') ? '_files' : '';
}

/** Escapes text within a specification of `_arguments`. */
function spec(text: string): string {
  return text.replace(/[\\:[\]]/g, '\\$&');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
