import type { KilnError, SourcePlace } from '../base/errors.ts';
import type { StageInstruction } from './instructions.ts';
import { parseDockerfile } from './parse.ts';

/** How the shell of a step names a script that it did not find. */
const SCRIPT_NOT_FOUND =
  /: (\/\S+|\.\/\S+): not found$|: (\/\S+|\.\/\S+): No such file or directory$/;

/**
 * Returns the next step for an error that the line at `place` explains, or undefined when it does
 * not. `given` are the names of the build arguments that the build was given.
 */
export function nextStepAt(
  error: KilnError,
  place: SourcePlace,
  given: ReadonlySet<string>,
): string | undefined {
  const words = wordsAt(place);
  if (error.code === 'KILN_COPY_SOURCE_MISSING') return ofMissingSource(error, words);
  if (error.code === 'KILN_COPY_ONTO_DIRECTORY') return ofDirectory(words);
  if (error.code === 'KILN_STEP_FAILED') return ofFailedStep(error, place, words, given);
  return undefined;
}

/** The words of the lines of an instruction, with its name first. */
function wordsAt({ source, start, end }: SourcePlace): string[] {
  return source.text
    .split('\n')
    .slice(start.line - 1, Math.max(start.line, end.line))
    .join('\n')
    .replace(/[\\`]\r?\n/g, ' ')
    .split(/\s+/)
    .filter((word) => word !== '');
}

function ofMissingSource({ message, hint }: KilnError, words: readonly string[]) {
  const [name = '', ...others] = words;
  const first = others.findIndex((word) => !word.startsWith('--'));
  const late = others.slice(Math.max(first, 0)).find((word) => /^--\w/.test(word));
  if (late !== undefined)
    return `a flag stands before the sources: write ${name} ${late} source destination`;
  if (others.includes('#'))
    return 'a comment has a line of its own: behind an instruction, # and what follows are paths';
  if (others.includes('--from='))
    return '--from= names nothing, so the source was looked for in the build context';
  if (others.some((word) => /^--from=/.test(word)) || !/^(?:copy|add)$/i.test(name))
    return undefined;
  if (others.some((word) => /^"?(?:\.\.|\[?"\.\.)(?:\/|$)/.test(word)))
    return (
      'nothing above the build context can be copied: build in the directory above, with ' +
      '-f for the Dockerfile, or give it as --build-context NAME=DIRECTORY and use --from=NAME'
    );
  const [, missing = ''] = /^"(\/.*)": not found$/.exec(message) ?? [];
  const isOnHost = /^\/(?:etc|home|root|usr|var|opt|tmp)\//.test(missing);
  if (!isOnHost || !others.includes(missing) || /excluded by|did you mean/.test(hint ?? ''))
    return undefined;
  return (
    `${missing} is looked for in the build context, not on this host: copy it into the context, ` +
    'or give its directory as --build-context NAME=DIRECTORY and use --from=NAME'
  );
}

function ofDirectory(words: readonly string[]): string | undefined {
  if (!words.at(-1)?.endsWith('/')) return undefined;
  return 'name another destination, or remove the directory in an earlier RUN';
}

function ofFailedStep(
  { message, notes }: KilnError,
  place: SourcePlace,
  words: readonly string[],
  given: ReadonlySet<string>,
): string | undefined {
  const [, command = ''] = words.filter((word, at) => at === 0 || !/^--\w/.test(word));
  const code = /: exit code: (\d+)/.exec(message)?.[1];
  if (command.startsWith('[') && /^process "\/bin\/sh -c \[/.test(message))
    return 'the brackets are no valid JSON, so a shell ran them: write RUN ["program", "argument"]';
  if (code === '127') {
    const script = notes.map((line) => SCRIPT_NOT_FOUND.exec(line)).find((match) => match !== null);
    return script
      ? `${script[1] ?? script[2]} is not there, or the program in its #! line is not: that line ` +
          'may end with a carriage return (CRLF), or name a program that the image lacks'
      : undefined;
  }
  const empty = emptyArgument(place, given);
  if (code === '126' || empty === undefined) return undefined;
  return `ARG ${empty} has no value here: if it needs one, give it with --build-arg ${empty}=…`;
}

/** The first ARG without a value that the instruction at `place` uses by its name. */
function emptyArgument(place: SourcePlace, given: ReadonlySet<string>): string | undefined {
  const { globalArgs, stages } = parseDockerfile(place.source);
  const line = place.start.line;
  const stage = stages.findLast(({ from }) => from.range.start.line <= line);
  const before = stage?.instructions.filter(({ range }) => range.start.line < line) ?? [];
  const text = place.source.text
    .split('\n')
    .slice(line - 1, Math.max(line, place.end.line))
    .join('\n');
  const inherited = new Set(
    globalArgs.flatMap(({ args }) =>
      args.flatMap(({ key, value }) => (value === undefined ? [] : [key])),
    ),
  );
  return unset(before).find(
    (name) =>
      !given.has(name) &&
      !inherited.has(name) &&
      new RegExp(`\\$(?:\\{${name}\\}|${name}\\b)`).test(text),
  );
}

/** The names of ARG that have no value after these instructions. */
function unset(instructions: readonly StageInstruction[]): string[] {
  const names = new Set<string>();
  for (const instruction of instructions) {
    if (instruction.kind === 'arg')
      for (const { key, value } of instruction.args)
        if (value === undefined && /^\w+$/.test(key) && !AUTOMATIC.test(key)) names.add(key);
        else names.delete(key);
    if (instruction.kind === 'env') for (const { key } of instruction.entries) names.delete(key);
  }
  return [...names];
}

/** Arguments that have a value without being given. */
const AUTOMATIC = /^(?:TARGET|BUILD)(?:PLATFORM|OS|OSVERSION|ARCH|VARIANT|STAGE)$|_proxy$/i;
