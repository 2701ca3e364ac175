import { KilnError } from '../base/errors.ts';
import { nearest } from '../base/suggest.ts';

/**
 * What users of docker type first, and what it is called here: words that stand for a command of
 * Kiln, or a sentence about what there is instead.
 */
const GROUPS: Readonly<Record<string, Readonly<Record<string, readonly string[] | string>>>> = {
  buildx: {
    build: ['build'],
    b: ['build'],
    du: ['du'],
    prune: ['prune'],
    imagetools: ['imagetools'],
    version: ['version'],
    bake:
      'there is no bake: run kiln build for each target (docker buildx bake --print lists ' +
      'their options)',
    history: "'kiln logs --list' lists the builds, 'kiln logs ID' shows one",
    dial: 'there is no daemon that could be dialled',
    ...builders('ls', 'create', 'use', 'rm', 'inspect', 'stop', 'bootstrap'),
  },
  builder: { build: ['build'], prune: ['prune'] },
  image: {
    build: ['build'],
    history: ['history'],
    inspect: ['inspect'],
    load: ['load'],
    ls: ['images'],
    list: ['images'],
    pull: ['pull'],
    push: ['push'],
    rm: ['rmi'],
    remove: ['rmi'],
    save: ['save'],
    tag: ['tag'],
    // Kiln's own (commands/image.ts).
    prune: ['image', 'prune'],
    import: 'build it: FROM scratch and ADD of the archive',
  },
  container: { run: ['run'] },
  manifest: { inspect: ['imagetools', 'inspect'], create: ['imagetools', 'create'] },
  system: {
    df: ['du'],
    info: ['doctor'],
    prune: "'kiln prune' removes build cache, 'kiln rmi NAME' images",
  },
};

const ALONE: Readonly<Record<string, readonly string[] | string>> = {
  buildx: "'kiln build' is docker buildx build",
  bake: GROUPS['buildx']!['bake']!,
  info: ['doctor'],
  create: "'kiln run IMAGE' runs a command in a container and leaves nothing",
  exec: "'kiln run IMAGE COMMAND' runs a command in an image",
  ps: 'there are no containers that stay: kiln run leaves nothing behind',
  rm: "'kiln rmi NAME' removes an image",
  commit: 'write it as a RUN of a Dockerfile and build it',
  import: GROUPS['image']!['import']!,
  export: "'kiln build -o DIR' writes the tree of a result, 'kiln save' an archive of an image",
  search: 'look at the web page of the registry',
};

function builders(...words: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    words.map((word) => [word, 'there are no builders: Kiln is the one that there is']),
  );
}

/**
 * The words in which Kiln says what `argv` does, which begins with none of Kiln's `commands`.
 * Throws KILN_UNKNOWN_COMMAND.
 */
export function inWordsOfKiln(
  argv: readonly string[],
  commands: readonly string[],
): readonly string[] {
  const [first = '', second, ...rest] = argv;
  const group = Object.hasOwn(GROUPS, first) ? GROUPS[first] : undefined;
  if (group && second === undefined) throw unknown(first, listed(first, group));
  const found = group ? own(group, second ?? '') : own(ALONE, first);
  if (typeof found === 'string') throw unknown(group ? `${first} ${second}` : first, found);
  if (found) return group ? [...found, ...rest] : [...found, ...argv.slice(1)];
  if (group)
    throw unknown(
      `${first} ${second}`,
      close(second ?? '', Object.keys(group), `${first} `) ?? listed(first, group),
    );
  const words = [...commands, 'help', 'version'];
  throw unknown(first, close(first, words) ?? "'kiln --help' lists the commands");
}

/** Whether only the help of a group of docker's is asked for. */
export function asksForGroup([first = '', second = '', ...rest]: readonly string[]): boolean {
  return (
    Object.hasOwn(GROUPS, first) &&
    /^(?:-h|--help|help)$/.test(second) &&
    rest.every((word) => word.startsWith('-'))
  );
}

export function groupHelp(name: string): string {
  const group = GROUPS[name] ?? {};
  const lines = Object.entries(group).flatMap(([word, words]) =>
    typeof words === 'string' ? [] : [`  ${word.padEnd(11)}kiln ${words.join(' ')}\n`],
  );
  return (
    `Usage: kiln ${name} COMMAND\n\n` +
    'Names that docker has for commands of Kiln:\n' +
    `${lines.join('')}`
  );
}

function own<T>(words: Readonly<Record<string, T>>, word: string): T | undefined {
  return Object.hasOwn(words, word) ? words[word] : undefined;
}

function listed(first: string, group: (typeof GROUPS)[string]): string {
  const taken = Object.entries(group).flatMap(([word, words]) =>
    typeof words === 'string' ? [] : [`${word} is kiln ${words.join(' ')}`],
  );
  return `of docker ${first}: ${taken.join(', ')}`;
}

function close(word: string, words: readonly string[], before = ''): string | undefined {
  const found = nearest(word, words);
  return found === undefined ? undefined : `did you mean 'kiln ${before}${found}'?`;
}

function unknown(words: string, hint: string): KilnError {
  return new KilnError('KILN_UNKNOWN_COMMAND', `unknown command: ${words}`, { hint, exitCode: 2 });
}
