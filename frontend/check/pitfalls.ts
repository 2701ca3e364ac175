import { tryParseReference } from '../../base/reference.ts';
import type { SourceRange } from '../../solver/llb/graph.ts';
import type {
  AddInstruction,
  Dockerfile,
  RunInstruction,
  StageInstruction,
} from '../instructions.ts';
import { commandsOf, type SimpleCommand, shellTextOf } from './shellwords.ts';
import { type Check, type Warning, warning } from './warning.ts';

/*
 * Kiln's own rules: lines that Docker builds without a warning and that are hardly ever intended.
 */

/** The commands of a RUN. Empty when it does not use a shell. */
function commandsIn(run: RunInstruction): readonly SimpleCommand[] {
  const text = shellTextOf(run);
  return text === undefined ? [] : commandsOf(text);
}

/** False for most scripts, which need not be split into words. */
function mayHavePitfalls(run: RunInstruction): boolean {
  return LOOKED_FOR.test(shellTextOf(run)?.replaceAll(/["']/g, '') ?? '');
}

/** What a script contains that has a command of SHELL_STATE or UPDATE. */
const LOOKED_FOR = /cd|pushd|export|alias|umask|source|apt|apk|(?<![^\s;&|])\.(?!\S)/;

/** Commands whose effect ends with their shell, and the instruction whose effect remains. */
const SHELL_STATE: Readonly<Record<string, string>> = {
  cd: 'use WORKDIR to set the directory',
  pushd: 'use WORKDIR to set the directory',
  export: 'use ENV to set a variable',
  alias: 'put it into the RUN that needs it',
  umask: 'put it into the RUN that needs it',
  source: 'use ENV to set variables',
};

function shellStateLost(
  { range }: RunInstruction,
  commands: readonly SimpleCommand[],
): Warning | undefined {
  const [name = '', argument = ''] = commands.at(-1) ?? [];
  const state = name === '.' ? 'source' : name;
  const advice = Object.hasOwn(SHELL_STATE, state) ? SHELL_STATE[state] : undefined;
  // A sourced script may do anything; some scripts are only ever sourced for their variables.
  if (
    advice === undefined ||
    (state === 'source' && !/(?:activate|rc|profile|\.env|nvm\.sh)$/.test(argument))
  )
    return undefined;
  return warning(
    'ShellStateLost',
    `'${name}' at the end of a RUN has no effect on later instructions: ${advice}`,
    range,
  );
}

const UPDATE: Readonly<Record<string, RegExp>> = {
  'apt-get': /^update$/,
  apt: /^update$/,
  apk: /^update$/,
};

function updates([name = '', ...rest]: SimpleCommand): boolean {
  const verb = rest.find((word) => !word.startsWith('-'));
  return Object.hasOwn(UPDATE, name) && verb !== undefined && UPDATE[name]!.test(verb);
}

function packageUpdateAlone(
  { range }: RunInstruction,
  commands: readonly SimpleCommand[],
): Warning | undefined {
  const [first] = commands;
  if (!first || !commands.every(updates)) return undefined;
  const message =
    `'${first[0]} update' in a RUN of its own: it stays cached, and later installs use ` +
    'outdated lists';
  return warning('PackageUpdateAlone', message, range);
}

/** Findings in the text of shell commands, which is read once. */
const shellPitfalls: Check = ({ stages }) => {
  const found: Warning[] = [];
  for (const { instructions } of stages) {
    for (const run of instructions) {
      if (run.kind !== 'run' || !mayHavePitfalls(run)) continue;
      const commands = commandsIn(run);
      for (const one of [shellStateLost(run, commands), packageUpdateAlone(run, commands)])
        if (one) found.push(one);
    }
  }
  return found;
};

/** Texts whose form shows that they are secrets. */
const SECRETS: readonly (readonly [string, RegExp])[] = [
  ['an AWS access key', /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/],
  ['a GitHub token', /\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})/],
  ['a GitLab token', /\bglpat-[A-Za-z0-9_-]{20}/],
  ['a Slack token', /\bxox[abprs]-[0-9A-Za-z-]{10}/],
  ['an npm token', /\bnpm_[A-Za-z0-9]{36}\b/],
  ['a private key', /-----BEGIN (?:[A-Z]{1,10} ){0,2}PRIVATE KEY-----/],
  ['a password in a URL', /\b(?:https?|git|ftp):\/\/[^\s:@/$]{1,64}:[^\s:@/$]{1,256}@/],
];

function textsOf(instruction: StageInstruction): readonly string[] {
  switch (instruction.kind) {
    case 'env':
    case 'label':
      return instruction.entries.map(({ value }) => value);
    case 'arg':
      return instruction.args.map(({ value }) => value ?? '');
    case 'run':
      return [instruction.original, ...instruction.heredocs.map(({ content }) => content)];
    case 'copy':
    case 'add':
      return [...instruction.sources, ...instruction.heredocs.map(({ content }) => content)];
    default:
      return [];
  }
}

const secretInText: Check = ({ globalArgs, stages }) =>
  [...globalArgs, ...stages.flatMap(({ instructions }) => instructions)].flatMap((instruction) => {
    const texts = textsOf(instruction);
    return SECRETS.filter(([, form]) => texts.some((text) => form.test(text))).map(([what]) => {
      const message =
        `${instruction.keyword.toUpperCase()} contains ${what}: it stays readable in the image ` +
        'or its history; use RUN --mount=type=secret';
      return warning('SecretInText', message, instruction.range);
    });
  });

/** Commands that install the packages of a manifest, and the files that they need. */
const INSTALLS: readonly (readonly [RegExp, string])[] = [
  [/^npm (?:ci|i|install)(?: -\S+)*$/, 'package.json and package-lock.json'],
  [/^yarn(?: install)?(?: -\S+)*$/, 'package.json and yarn.lock'],
  [/^pnpm (?:i|install)(?: -\S+)*$/, 'package.json and pnpm-lock.yaml'],
  [/^(?:python3? -m )?pip3? install (?:\S+ )*(?:-r|--requirement)[ =]/, 'the requirements file'],
  [/^(?:poetry install|uv sync)\b/, 'pyproject.toml and its lock file'],
  [/^go mod download\b/, 'go.mod and go.sum'],
  [/^bundle install\b/, 'Gemfile and Gemfile.lock'],
  [/^composer install\b/, 'composer.json and composer.lock'],
  [/^cargo fetch\b/, 'Cargo.toml and Cargo.lock'],
  [/^mvn (?:\S+ )*dependency:go-offline\b/, 'pom.xml'],
];

const installAfterCopyAll: Check = ({ stages }) =>
  stages.flatMap(({ instructions }) => {
    const at = instructions.findIndex(copiesAll);
    if (at < 0) return [];
    const copy = instructions[at]!;
    const before = new Set(installsIn(instructions.slice(0, at)).map(({ files }) => files));
    const late = installsIn(instructions.slice(at + 1)).find(({ files }) => !before.has(files));
    if (!late) return [];
    const line = late.range.start.line;
    const message =
      `${copy.keyword.toUpperCase()} of the whole context before '${late.command}' (line ` +
      `${line}): every change installs everything again; copy ${late.files} first, install, ` +
      'then copy the rest';
    return [warning('InstallAfterCopyAll', message, copy.range)];
  });

function copiesAll(instruction: StageInstruction): boolean {
  if (instruction.kind !== 'copy' && instruction.kind !== 'add') return false;
  return (
    instruction.flags.from === undefined &&
    instruction.sources.some((source) => /^\.?\/?$/.test(source))
  );
}

interface Install {
  readonly command: string;
  readonly files: string;
  readonly range: SourceRange;
}

/** A RUN with a cache or a secret mount is skipped, because its author knows about caches. */
function installsIn(instructions: readonly StageInstruction[]): Install[] {
  return instructions.flatMap((run) => {
    if (run.kind !== 'run' || run.mounts.length > 0) return [];
    return commandsIn(run).flatMap((words) => {
      const command = words.join(' ');
      const known = INSTALLS.find(([form]) => form.test(command));
      return known
        ? [{ command: words.slice(0, 3).join(' '), files: known[1], range: run.range }]
        : [];
    });
  });
}

const ARCHIVE = /\.(?:tar|tgz|tbz2?|txz|tzst|gz|bz2|xz|zst|lzma)$|\.tar\.\w+$/i;

const addForPlainFile: Check = ({ stages }) =>
  stages
    .flatMap(({ instructions }) => instructions.filter((instruction) => instruction.kind === 'add'))
    .filter(isPlain)
    .map(({ range, sources }) =>
      warning(
        'AddForPlainFile',
        `ADD of '${sources[0]}', which needs no unpacking or fetching: use COPY`,
        range,
      ),
    );

function isPlain({ sources, flags }: AddInstruction): boolean {
  const plain = (source: string) =>
    !ARCHIVE.test(source) && !/[$*?[]|:\/\/|^git@|\.git(?:#|$)/.test(source);
  return (
    flags.unpack === undefined &&
    flags.checksum === undefined &&
    sources.length > 0 &&
    sources.every(plain)
  );
}

const unpinnedBaseImage: Check = (dockerfile) => {
  const names = new Set(dockerfile.stages.map(({ from }) => from.name));
  return dockerfile.stages.flatMap(({ from: { image, range } }) => {
    if (names.has(image.toLowerCase()) || image === 'scratch' || image.includes('$')) return [];
    const reference = tryParseReference(image);
    if (
      !reference ||
      reference.digest ||
      (reference.tag !== undefined && reference.tag !== 'latest')
    )
      return [];
    return [
      warning(
        'UnpinnedBaseImage',
        `Base image '${image}' has no fixed version: add a version or digest`,
        range,
      ),
    ];
  });
};

export const pitfallChecks: readonly ((dockerfile: Dockerfile) => Warning[])[] = [
  shellPitfalls,
  secretInText,
  installAfterCopyAll,
  addForPlainFile,
  unpinnedBaseImage,
];
