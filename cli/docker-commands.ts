import { KilnError } from '../base/errors.ts';
import { nearest } from '../base/suggest.ts';

/**
 * Docker's command groups and their subcommands. Each one is translated to the words of a command
 * of Kiln, or has a hint about what to use instead.
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
      'Kiln has no bake: run kiln build for each target (docker buildx bake --print lists ' +
      'their options)',
    history: ['history'],
    // Both are in commands/buildx.ts.
    ls: ['buildx', 'ls'],
    inspect: ['buildx', 'inspect'],
    'dial-stdio': "Kiln has no daemon to dial: 'kiln serve' is one",
    install: 'write the alias docker=kiln into the profile of your shell',
    uninstall: 'remove the alias docker=kiln from the profile of your shell',
    debug: "'kiln build --on-error=shell' opens a shell in a step that fails",
    dap: "'kiln build --on-error=shell' opens a shell in a step that fails",
    policy: 'Kiln evaluates no policies apart from a build',
    ...builders('create', 'use', 'rm', 'stop', 'bootstrap'),
  },
  builder: { build: ['build'], prune: ['prune'], du: ['du'], inspect: ['buildx', 'inspect'] },
  image: {
    build: ['build'],
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
    // These are in commands/image.ts.
    history: ['image', 'history'],
    prune: ['image', 'prune'],
    explore: ['image', 'explore'],
    diff: ['image', 'diff'],
    import: 'build the image from a Dockerfile with FROM scratch and ADD of the archive',
  },
  container: {
    run: ['run'],
    ...containers('create', 'exec', 'inspect', 'list', 'logs', 'ls', 'prune', 'rm'),
  },
  manifest: { inspect: ['imagetools', 'inspect'], create: ['imagetools', 'create'] },
  system: {
    // Both are in commands/system.ts.
    df: ['system', 'df'],
    prune: ['system', 'prune'],
    info: ['doctor'],
    events: 'Kiln has no daemon with events',
  },
};

const NO_SERVICES = 'Kiln builds images. It runs no services: use docker for that';

/** Commands of docker that have nothing to do with builds. */
const SERVICES = [
  ...['checkpoint', 'compose', 'config', 'events', 'network', 'node', 'plugin', 'secret'],
  ...['service', 'stack', 'swarm', 'trust', 'volume'],
  ...['generate', 'kube', 'machine', 'play', 'pod'],
];

/** Docker's commands outside a group, in the same form. */
const COMMANDS_OF_DOCKER: Readonly<Record<string, readonly string[] | string>> = {
  bake: GROUPS['buildx']!['bake']!,
  b: ['build'],
  bud: ['build'],
  'build-using-dockerfile': ['build'],
  info: ['doctor'],
  ...containers(),
  create: "'kiln run IMAGE' runs a command in a container, and removes the container afterwards",
  exec: "'kiln run IMAGE COMMAND' runs a command in a new container from an image",
  ...Object.fromEntries(SERVICES.map((word) => [word, NO_SERVICES])),
  rm: "'kiln rmi NAME' removes an image",
  commit: 'write the change as a RUN instruction of a Dockerfile, and build it',
  import: GROUPS['image']!['import']!,
  export:
    "'kiln build -o DIR' writes the files of a result, 'kiln save' writes an archive of an image",
  from: 'write the steps into a Dockerfile: Kiln has no working containers',
  mount: "'kiln build -o DIR' writes the files of a result",
  unshare: 'not needed: the build of an ordinary user is in a user namespace by itself',
  search: "use the registry's web page",
  context: 'Kiln has no contexts: --builder and BUILDX_BUILDER name a server for builds',
};

/** Commands of docker for containers that stay, and the subcommands of docker container. */
function containers(...more: readonly string[]): Readonly<Record<string, string>> {
  const words = [
    ...['attach', 'cp', 'diff', 'kill', 'pause', 'port', 'ps', 'rename', 'restart', 'start'],
    ...['stats', 'stop', 'top', 'unpause', 'update', 'wait'],
    ...more,
  ];
  const sentence = 'Kiln keeps no containers: kiln run removes its container afterwards';
  return Object.fromEntries(words.map((word) => [word, sentence]));
}

function builders(...words: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    words.map((word) => [word, 'Kiln has no builders: every build runs in the kiln process']),
  );
}

/**
 * Translates a command line of docker to one of Kiln. `argv` does not start with any of Kiln's
 * `commands`, which are used for suggestions. Throws KILN_UNKNOWN_COMMAND, with a hint about what
 * to use instead, when Kiln has no such command.
 */
export function translateDockerCommand(
  argv: readonly string[],
  commands: readonly string[],
): readonly string[] {
  const [first = '', second, ...rest] = argv;
  const group = Object.hasOwn(GROUPS, first) ? GROUPS[first] : undefined;
  if (group && second === undefined) throw unknown(first, listed(first, group));
  const found = group ? ownValue(group, second ?? '') : ownValue(COMMANDS_OF_DOCKER, first);
  if (typeof found === 'string') throw unknown(group ? `${first} ${second}` : first, found);
  if (found) return group ? [...found, ...rest] : [...found, ...argv.slice(1)];
  if (group)
    throw unknown(
      `${first} ${second}`,
      suggestion(second ?? '', Object.keys(group), `${first} `) ?? listed(first, group),
    );
  const words = [...commands, 'help', 'version'];
  throw unknown(first, suggestion(first, words) ?? "'kiln --help' lists the commands");
}

/**
 * Says whether `argv` asks for the help of one of docker's groups, as `kiln buildx --help` does.
 */
export function isGroupHelp([first = '', second = '', ...rest]: readonly string[]): boolean {
  return (
    Object.hasOwn(GROUPS, first) &&
    /^(?:-h|--help|help)$/.test(second) &&
    rest.every((word) => word.startsWith('-'))
  );
}

/** Returns the help text of one of docker's groups: its subcommands and what they run in Kiln. */
export function dockerGroupHelp(name: string): string {
  const group = GROUPS[name] ?? {};
  const lines = Object.entries(group).flatMap(([word, words]) =>
    typeof words === 'string' ? [] : [`  ${word.padEnd(11)}kiln ${words.join(' ')}\n`],
  );
  return (
    `Usage: kiln ${name} COMMAND\n\n` + `Docker's names for commands of Kiln:\n${lines.join('')}`
  );
}

function ownValue<T>(words: Readonly<Record<string, T>>, word: string): T | undefined {
  return Object.hasOwn(words, word) ? words[word] : undefined;
}

function listed(first: string, group: (typeof GROUPS)[string]): string {
  const translated = Object.entries(group).flatMap(([word, words]) =>
    typeof words === 'string' ? [] : [`${word} runs kiln ${words.join(' ')}`],
  );
  return `of docker ${first}, Kiln has: ${translated.join(', ')}`;
}

function suggestion(word: string, words: readonly string[], before = ''): string | undefined {
  const found = nearest(word, words);
  return found === undefined ? undefined : `did you mean 'kiln ${before}${found}'?`;
}

function unknown(words: string, hint: string): KilnError {
  return new KilnError('KILN_UNKNOWN_COMMAND', `unknown command: ${words}`, { hint, exitCode: 2 });
}
