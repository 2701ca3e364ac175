import { KilnError, type Place } from '../base/errors.ts';
import { readArguments, readJsonArray } from './command.ts';
import { DurationError, parseGoDuration } from './duration.ts';
import { ARGUMENT_SPACE, isSpace, quote, trimSpace } from './gotext.ts';
import { parseHeredocWord } from './heredoc.ts';
import type {
  ArgInstruction,
  CommandLine,
  CopyFlags,
  FromInstruction,
  HealthcheckInstruction,
  Heredoc,
  Instruction,
  KeyValue,
  MountFlag,
  OnbuildInstruction,
  RunInstruction,
} from './instructions.ts';
import { placeOf, problem } from './problem.ts';
import { type FlagKind, type FlagValues, failure, type Reading, readFlags } from './reading.ts';
import {
  mountField,
  parseKeyValues,
  splitLegacy,
  splitMount,
  splitStatement,
  splitWords,
} from './tokens.ts';

/** What every instruction carries. */
function base(reading: Reading) {
  const { line, statement, range } = reading;
  return {
    range,
    keyword: statement.keyword,
    original: trimSpace(line.text),
    docComment: line.comments.join('\n'),
  };
}

/** What the comment line `# NAME description` above an instruction says. */
function describe(comments: readonly string[], name: string): string {
  if (name === '') return '';
  return comments.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? '';
}

/**
 * Comments times names of one ARG, beyond which the comments are not gone through for each name.
 */
const MANY = 100_000;

/**
 * The descriptions that `describe` finds, for names without blanks. One ARG can declare thousands
 * of names, each with a comment.
 */
function byFirstWord(comments: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of comments) {
    const space = line.indexOf(' ');
    const name = line.slice(0, space);
    if (space > 0 && !found.has(name)) found.set(name, line.slice(space + 1));
  }
  return found;
}

export function stageComment(comment: string, name: string | undefined): string {
  return describe(comment.split('\n'), name ?? '');
}

const NO_FLAGS = {};

/** One reader per instruction. The keys are the names of the instructions. */
export const READERS: Readonly<Record<Instruction['kind'], (reading: Reading) => Instruction>> = {
  add: (reading) => {
    const copied = readCopy(reading, 'ADD', ADD_FLAGS);
    return { kind: 'add', ...copied };
  },
  arg: readArg,
  cmd: (reading) => {
    readFlags(reading, NO_FLAGS);
    return { kind: 'cmd', ...base(reading), command: readCommand(reading, reading.statement.body) };
  },
  copy: (reading) => ({ kind: 'copy', ...readCopy(reading, 'COPY', COPY_FLAGS) }),
  entrypoint: (reading) => {
    readFlags(reading, NO_FLAGS);
    return {
      kind: 'entrypoint',
      ...base(reading),
      command: readCommand(reading, reading.statement.body),
    };
  },
  env: (reading) => ({ kind: 'env', ...base(reading), entries: readKeyValues(reading, 'ENV') }),
  expose: (reading) => {
    const ports = reading.statement.body === '' ? [] : reading.statement.body.split(ARGUMENT_SPACE);
    if (ports.length === 0)
      throw needsArgument(reading, 'EXPOSE', 'write EXPOSE 8080 or EXPOSE 53/udp');
    readFlags(reading, NO_FLAGS);
    return { kind: 'expose', ...base(reading), ports: ports.sort() };
  },
  from: readFrom,
  healthcheck: readHealthcheck,
  label: (reading) => ({
    kind: 'label',
    ...base(reading),
    entries: readKeyValues(reading, 'LABEL'),
  }),
  maintainer: (reading) => ({
    kind: 'maintainer',
    ...base(reading),
    maintainer: readOne(reading, 'MAINTAINER'),
  }),
  onbuild: readOnbuild,
  run: readRun,
  shell: readShell,
  // Docker ignores the flags of this instruction.
  stopsignal: (reading) => ({
    kind: 'stopsignal',
    ...base(reading),
    signal: readRest(reading, 'STOPSIGNAL'),
  }),
  user: (reading) => ({ kind: 'user', ...base(reading), user: readOne(reading, 'USER') }),
  volume: readVolume,
  workdir: (reading) => ({ kind: 'workdir', ...base(reading), path: readOne(reading, 'WORKDIR') }),
};

function needsArgument(reading: Reading, name: string, hint?: string): KilnError {
  return failure(reading, 'KILN_DOCKERFILE_SYNTAX', `${name} requires at least one argument`, hint);
}

const EXAMPLES: Readonly<Record<string, string>> = {
  MAINTAINER: 'name, or better LABEL org.opencontainers.image.authors=name',
  STOPSIGNAL: 'SIGTERM',
  USER: 'name or USER name:group',
  WORKDIR: '/path',
};

/** Reads the rest of the line as one argument, including blanks. */
function readRest(reading: Reading, name: string): string {
  const { body } = reading.statement;
  if (body === '')
    throw failure(
      reading,
      'KILN_DOCKERFILE_SYNTAX',
      `${name} requires exactly one argument`,
      `write ${name} ${EXAMPLES[name]}`,
    );
  return body;
}

function readOne(reading: Reading, name: string): string {
  const argument = readRest(reading, name);
  readFlags(reading, NO_FLAGS);
  return argument;
}

function readCommand(reading: Reading, body: string): CommandLine {
  const args = readJsonArray(reading, body);
  return args ? { form: 'exec', args } : { form: 'shell', text: body };
}

function readKeyValues(reading: Reading, name: 'ENV' | 'LABEL'): KeyValue[] {
  const { statement } = reading;
  const words = splitWords(statement.body, reading.escape);
  const entries =
    words[0]?.includes('=') === false ? [readLegacy(reading, name)] : readModern(reading, words);
  readFlags(reading, NO_FLAGS);
  if (entries.length === 0) throw needsArgument(reading, name, `write ${name} key=value`);
  if (entries.some(({ key }) => key === '')) {
    throw failure(
      reading,
      'KILN_DOCKERFILE_SYNTAX',
      `${name} names can not be blank`,
      'put a name before the =',
    );
  }
  return entries;
}

function readLegacy(reading: Reading, name: string): KeyValue {
  const legacy = splitLegacy(reading.statement.body);
  if (!legacy)
    throw failure(
      reading,
      'KILN_DOCKERFILE_SYNTAX',
      `${name} must have two arguments`,
      `write ${name} key=value`,
    );
  return { key: legacy[0], value: legacy[1], legacy: true };
}

function readModern(reading: Reading, words: readonly string[]): KeyValue[] {
  return parseKeyValues(words).map(({ key, value }) => {
    if (value !== undefined) return { key, value, legacy: false };
    const message = `Syntax error - can't find = in ${quote(key)}. Must be of the form: name=value`;
    throw failure(
      reading,
      'KILN_DOCKERFILE_SYNTAX',
      message,
      'put a value with spaces in quotes: name="a b"',
    );
  });
}

function readArg(reading: Reading): ArgInstruction {
  const { statement, line } = reading;
  const entries = parseKeyValues(splitWords(statement.body, reading.escape));
  if (entries.length === 0)
    throw needsArgument(reading, 'ARG', 'write ARG name or ARG name=default');
  if (entries.some(({ key, value }) => key === '' && value !== undefined)) {
    throw failure(
      reading,
      'KILN_DOCKERFILE_SYNTAX',
      'ARG names can not be blank',
      'put a name before the =',
    );
  }
  // Docker ignores the flags of this instruction.
  const described =
    line.comments.length * entries.length > MANY ? byFirstWord(line.comments) : undefined;
  const docOf = (key: string) =>
    described ? (described.get(key) ?? '') : describe(line.comments, key);
  const args = entries.map(({ key, value }) => ({ key, value, docComment: docOf(key) }));
  return { kind: 'arg', ...base(reading), args };
}

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

function readFrom(reading: Reading): FromInstruction {
  const { body } = reading.statement;
  const args = body === '' ? [] : body.split(ARGUMENT_SPACE);
  const [image = '', asKeyword, nameAsWritten] = args;
  const named = args.length === 3 && asKeyword?.toLowerCase() === 'as';
  if (!named && args.length !== 1) {
    const message = 'FROM requires either one or three arguments';
    throw failure(
      reading,
      'KILN_DOCKERFILE_SYNTAX',
      message,
      'write FROM image or FROM image AS name',
    );
  }
  const name = named ? nameAsWritten!.toLowerCase() : undefined;
  if (name !== undefined && !STAGE_NAME.test(name)) {
    const message =
      `invalid name for build stage: ${quote(nameAsWritten!)}, name can't start with a number ` +
      'or contain symbols';
    throw failure(
      reading,
      'KILN_DOCKERFILE_STAGE_NAME',
      message,
      'use letters, digits, -, _ and ., and begin with a letter',
    );
  }
  const flags = readFlags(reading, { platform: 'string' });
  const platform = flags.string('platform') || undefined;
  return {
    kind: 'from',
    ...base(reading),
    image,
    platform,
    name,
    nameAsWritten: named ? nameAsWritten : undefined,
    asKeyword: named ? asKeyword : undefined,
  };
}

const COPY_FLAGS: Readonly<Record<string, FlagKind>> = {
  chown: 'string',
  from: 'string',
  chmod: 'string',
  link: 'boolean',
  parents: 'boolean',
  exclude: 'strings',
};
const ADD_FLAGS: Readonly<Record<string, FlagKind>> = {
  chown: 'string',
  chmod: 'string',
  link: 'boolean',
  exclude: 'strings',
  'keep-git-dir': 'boolean',
  checksum: 'string',
  unpack: 'boolean',
};

function readCopy(
  reading: Reading,
  name: 'ADD' | 'COPY',
  known: Readonly<Record<string, FlagKind>>,
) {
  const args = readArguments(reading, reading.statement.body);
  if (args.length < 2) {
    const given = args.length === 0 ? 'none' : 'only one';
    const message =
      `${name} requires at least two arguments, but ${given} was provided. Destination could ` +
      'not be determined';
    throw failure(reading, 'KILN_DOCKERFILE_SYNTAX', message, `write ${name} source destination`);
  }
  const flags = copyFlags(readFlags(reading, known));
  const dest = args.pop()!;
  if (parseHeredocWord(dest)) {
    const message = `${name} cannot accept a heredoc as a destination`;
    throw failure(
      reading,
      'KILN_DOCKERFILE_HEREDOC',
      message,
      'put the destination after the heredoc: COPY <<EOF /path',
    );
  }
  const bodies = new Map(reading.heredocs.map((heredoc) => [heredoc.name, heredoc]));
  const sources: string[] = [];
  const heredocs: Heredoc[] = [];
  for (const arg of args) {
    const head = parseHeredocWord(arg);
    if (head) heredocs.push(bodies.get(head.name) ?? { ...head, raw: '', content: '' });
    else sources.push(arg);
  }
  return { ...base(reading), flags, sources, heredocs, dest };
}

function copyFlags(flags: FlagValues): CopyFlags {
  const strings = ['from', 'chown', 'chmod', 'checksum'].flatMap((name) =>
    entryOf(name, flags.string(name) || undefined),
  );
  const booleans = ['link', 'parents', 'unpack'].flatMap((name) =>
    entryOf(name, flags.boolean(name)),
  );
  const keepGitDir = entryOf('keepGitDir', flags.boolean('keep-git-dir'));
  return {
    ...Object.fromEntries([...strings, ...booleans, ...keepGitDir]),
    exclude: flags.strings('exclude'),
  };
}

function entryOf<T>(name: string, value: T | undefined): [string, T][] {
  return value === undefined ? [] : [[name, value]];
}

function readRun(reading: Reading): RunInstruction {
  const flags = readFlags(reading, {
    mount: 'strings',
    network: 'string',
    security: 'string',
    device: 'strings',
  });
  const command = readCommand(reading, reading.statement.body);
  return {
    kind: 'run',
    ...base(reading),
    command,
    heredocs: reading.heredocs,
    mounts: flags
      .strings('mount')
      .map((raw, index) => readMount(reading, raw, flags.placeOf('mount', index))),
    network: oneOf(flags, 'network', 'network mode', ['default', 'none', 'host']),
    security: oneOf(flags, 'security', 'security', ['sandbox', 'insecure']),
    devices: flags.strings('device'),
  };
}

function oneOf(
  flags: FlagValues,
  flag: string,
  what: string,
  allowed: readonly string[],
): string | undefined {
  const value = flags.string(flag);
  if (value === undefined || allowed.includes(value)) return value;
  const hint = `write one of ${allowed.join(', ')}`;
  throw problem(
    'KILN_DOCKERFILE_FLAG',
    `invalid ${what} ${quote(value)}`,
    flags.placeOf(flag),
    hint,
  );
}

/**
 * Splits one --mount. Values are checked when they are expanded. Only `from` must be known before
 * the graph is made.
 */
function readMount(reading: Reading, raw: string, place: Place | undefined): MountFlag {
  const fields = fieldsOf(reading, raw, place).map(mountField);
  for (const { key, value } of fields) {
    if (key !== 'from' || value === undefined) continue;
    const dollar = value.indexOf('$');
    if (dollar < 0 || dollar === value.length - 1) continue;
    const message = `'from' doesn't support variable expansion, define alias stage instead`;
    throw problem(
      'KILN_DOCKERFILE_FLAG',
      message,
      place,
      `add FROM ${value} AS name at the top and write from=name`,
    );
  }
  return { raw, fields, place };
}

function fieldsOf(reading: Reading, raw: string, place: Place | undefined): string[] {
  try {
    return splitMount(raw);
  } catch (error) {
    throw error instanceof KilnError ? error.at(place ?? placeOf(reading.range)) : error;
  }
}

function readShell(reading: Reading): Instruction {
  readFlags(reading, NO_FLAGS);
  const { body } = reading.statement;
  const shell = readJsonArray(reading, body);
  if (body === '' || shell?.length === 0)
    throw needsArgument(reading, 'SHELL', 'write SHELL ["/bin/bash", "-c"]');
  if (!shell) {
    const message = 'SHELL requires the arguments to be in JSON form';
    const quotes = body.includes("'") ? '; JSON has double quotes only' : '';
    throw failure(
      reading,
      'KILN_DOCKERFILE_JSON',
      message,
      `write SHELL ["/bin/bash", "-c"]${quotes}`,
    );
  }
  return { kind: 'shell', ...base(reading), shell };
}

function readVolume(reading: Reading): Instruction {
  const args = readArguments(reading, reading.statement.body);
  if (args.length === 0) throw needsArgument(reading, 'VOLUME', 'write VOLUME /data');
  readFlags(reading, NO_FLAGS);
  const paths = args.map(trimSpace);
  if (paths.includes(''))
    throw failure(
      reading,
      'KILN_DOCKERFILE_SYNTAX',
      'VOLUME specified can not be an empty string',
      'write VOLUME ["/data"]',
    );
  return { kind: 'volume', ...base(reading), paths };
}

const NO_TRIGGER = 'a trigger is any instruction but FROM, MAINTAINER and ONBUILD';

/**
 * Reads a trigger. Its own flags and arguments are read when it fires, so here it only needs to be
 * a line that can be split.
 */
function readOnbuild(reading: Reading): OnbuildInstruction {
  const { statement, line } = reading;
  if (statement.body === '')
    throw needsArgument(reading, 'ONBUILD', 'write ONBUILD followed by the instruction to run');
  const trigger = splitStatement(statement.body, reading.escape);
  checkTrigger(reading, trigger.keyword, trigger.body);
  readFlags(reading, NO_FLAGS);
  const name = trigger.keyword.toUpperCase();
  if (name === 'ONBUILD')
    throw failure(
      reading,
      'KILN_DOCKERFILE_ONBUILD',
      "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
      'write ONBUILD once: a trigger runs in the build that is based on this image, ' +
        'and not in later ones',
    );
  if (name === 'FROM' || name === 'MAINTAINER') {
    throw failure(
      reading,
      'KILN_DOCKERFILE_ONBUILD',
      `${name} isn't allowed as an ONBUILD trigger`,
      NO_TRIGGER,
    );
  }
  const text = line.text.replace(/^[\t\n\f\r ]*ONBUILD[\t\n\f\r ]*/i, '');
  const bodies = reading.heredocs.map((heredoc) => `\n${heredoc.raw}${heredoc.name}`);
  return { kind: 'onbuild', ...base(reading), expression: text + bodies.join('') };
}

/** Reports the mistakes that Docker finds in a trigger before it fires. */
function checkTrigger(reading: Reading, keyword: string, body: string): void {
  const name = keyword.toLowerCase();
  const inner = { ...reading, statement: { ...reading.statement, keyword, body, flags: [] } };
  if ((name === 'env' || name === 'label') && body !== '') {
    const words = splitWords(body, reading.escape);
    if (words[0]?.includes('=') === false) readLegacy(inner, keyword.toUpperCase());
    else readModern(inner, words);
  }
  if (['add', 'copy', 'volume', 'run', 'cmd', 'entrypoint', 'shell'].includes(name))
    readJsonArray(inner, body);
}

function readHealthcheck(reading: Reading): HealthcheckInstruction {
  const { body } = reading.statement;
  if (body === '')
    throw needsArgument(
      reading,
      'HEALTHCHECK',
      'write HEALTHCHECK CMD command or HEALTHCHECK NONE',
    );
  const [typeAsWritten, rest] = firstWord(body);
  const type = typeAsWritten.toUpperCase();
  const command = readCommand(reading, rest);
  if (type === 'NONE') {
    if (rest !== '' && !(command.form === 'exec' && command.args.length === 0)) {
      throw failure(
        reading,
        'KILN_DOCKERFILE_SYNTAX',
        'HEALTHCHECK NONE takes no arguments',
        'leave out the arguments of NONE, or write HEALTHCHECK CMD command',
      );
    }
    return { kind: 'healthcheck', ...base(reading), test: undefined };
  }
  const flags = readFlags(reading, HEALTH_FLAGS);
  if (type !== 'CMD') {
    const message = `Unknown type ${quote(type)} in HEALTHCHECK (try CMD)`;
    throw failure(
      reading,
      'KILN_DOCKERFILE_SYNTAX',
      message,
      'write HEALTHCHECK CMD command or HEALTHCHECK NONE',
    );
  }
  if (rest === '' || (command.form === 'exec' && command.args.length === 0)) {
    throw failure(
      reading,
      'KILN_DOCKERFILE_SYNTAX',
      'Missing command after HEALTHCHECK CMD',
      'write HEALTHCHECK CMD command',
    );
  }
  const durations = HEALTH_TIMES.flatMap(([flag, field]) =>
    entryOf(field, readInterval(flags, flag)),
  );
  const retries = entryOf('retries', readRetries(reading, flags.string('retries')));
  return {
    kind: 'healthcheck',
    ...base(reading),
    test: command,
    ...Object.fromEntries([...durations, ...retries]),
  };
}

const HEALTH_FLAGS: Readonly<Record<string, FlagKind>> = {
  interval: 'string',
  timeout: 'string',
  'start-period': 'string',
  'start-interval': 'string',
  retries: 'string',
};
const HEALTH_TIMES = [
  ['interval', 'interval'],
  ['timeout', 'timeout'],
  ['start-period', 'startPeriod'],
  ['start-interval', 'startInterval'],
] as const;

function firstWord(body: string): [string, string] {
  let end = 0;
  while (end < body.length && !isSpace(body[end]!)) end++;
  let next = end;
  while (next < body.length && isSpace(body[next]!)) next++;
  return [body.slice(0, end), body.slice(next)];
}

const MILLISECOND = 1_000_000n;

/** Nanoseconds. A flag that is empty or zero counts as absent. */
function readInterval(flags: FlagValues, flag: string): number | undefined {
  const text = flags.string(flag);
  if (!text) return undefined;
  const bad = (message: string) =>
    problem(
      'KILN_DOCKERFILE_FLAG',
      message,
      flags.placeOf(flag),
      `write a time such as --${flag}=30s`,
    );
  try {
    const time = parseGoDuration(text);
    if (time === 0n) return undefined;
    if (time < MILLISECOND) throw bad(`Interval "${flag}" cannot be less than 1ms`);
    return Number(time);
  } catch (error) {
    throw error instanceof DurationError ? bad(error.message) : error;
  }
}

function readRetries(reading: Reading, text: string | undefined): number | undefined {
  if (!text) return undefined;
  const bad = (message: string) =>
    failure(reading, 'KILN_DOCKERFILE_FLAG', message, 'write --retries=3');
  if (!/^[+-]?\d+$/.test(text))
    throw bad(`strconv.ParseInt: parsing ${quote(text)}: invalid syntax`);
  const retries = Number(text);
  if (retries > 2147483647 || retries < -2147483648)
    throw bad(`strconv.ParseInt: parsing ${quote(text)}: value out of range`);
  if (retries < 0) throw bad(`--retries cannot be negative (${retries})`);
  return retries;
}
