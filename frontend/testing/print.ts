import type {
  AddInstruction,
  CommandLine,
  CopyInstruction,
  Dockerfile,
  Heredoc,
  Instruction,
  RunInstruction,
} from '../instructions.ts';

/**
 * Prints a Dockerfile from its typed values alone. Parsing the result must give the same values.
 * Undefined for values that cannot be written that way (heredocs with odd names, blanks outside
 * ASCII at the end of a line).
 */
export function printDockerfile({
  escape: esc,
  directives,
  globalArgs,
  stages,
}: Dockerfile): string | undefined {
  const head = [
    ...(directives.syntax ? [`# syntax=${directives.syntax.value}`] : []),
    ...(directives.escape ? [`# escape=${directives.escape.value}`] : []),
    ...(directives.check ? [`# check=${directives.check.value}`] : []),
  ];
  const all: Instruction[] = [
    ...globalArgs,
    ...stages.flatMap(({ from, instructions }) => [from, ...instructions]),
  ];
  const texts = all.map((one) => printInstruction(one, esc));
  return texts.includes(undefined) ? undefined : [...head, ...texts, ''].join('\n');
}

function printInstruction(one: Instruction, esc: string): string | undefined {
  const line = (name: string, flags: readonly string[], body: string) =>
    joined(esc, [name, ...flags], body);
  switch (one.kind) {
    case 'from':
      return line(
        'FROM',
        flag('platform', one.platform, esc),
        `${one.image}${one.nameAsWritten === undefined ? '' : ` AS ${one.nameAsWritten}`}`,
      );
    case 'arg':
      return line(
        'ARG',
        [],
        one.args.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`)).join(' '),
      );
    case 'env':
    case 'label':
      return line(
        one.kind,
        [],
        one.entries
          .map(({ key, value, legacy }) => `${key}${legacy ? ' ' : '='}${value}`)
          .join(' '),
      );
    case 'run':
      return printRun(one, esc);
    case 'copy':
    case 'add':
      return printCopy(one, esc);
    case 'cmd':
    case 'entrypoint':
      return line(one.kind, [], printCommand(one.command));
    case 'shell':
      return line('SHELL', [], JSON.stringify(one.shell));
    case 'volume':
      return line('VOLUME', [], JSON.stringify(one.paths));
    case 'expose':
      return line('EXPOSE', [], one.ports.join(' '));
    case 'healthcheck': {
      if (!one.test) return 'HEALTHCHECK NONE';
      const times = {
        interval: one.interval,
        timeout: one.timeout,
        'start-period': one.startPeriod,
        'start-interval': one.startInterval,
      };
      const flags = Object.entries(times).flatMap(([name, ns]) =>
        flag(name, ns === undefined ? undefined : `${ns}ns`, esc),
      );
      return line(
        'HEALTHCHECK',
        [...flags, ...flag('retries', one.retries?.toString(), esc)],
        `CMD ${printCommand(one.test)}`,
      );
    }
    case 'user':
      return line('USER', [], one.user);
    case 'workdir':
      return line('WORKDIR', [], one.path);
    case 'stopsignal':
      return line('STOPSIGNAL', [], one.signal);
    case 'maintainer':
      return line('MAINTAINER', [], one.maintainer);
    case 'onbuild':
      return one.expression.includes('\n')
        ? `ONBUILD ${one.expression}`
        : `ONBUILD ${ended(one.expression, esc)}`;
  }
}

function printCommand(command: CommandLine): string {
  return command.form === 'exec' ? JSON.stringify(command.args) : command.text;
}

function printRun(run: RunInstruction, esc: string): string | undefined {
  const flags = [
    ...run.mounts.flatMap(({ raw }) => flag('mount', raw, esc)),
    ...flag('network', run.network, esc),
    ...flag('security', run.security, esc),
    ...run.devices.flatMap((device) => flag('device', device, esc)),
  ];
  return withBodies(joined(esc, ['RUN', ...flags], printCommand(run.command)), run.heredocs);
}

function printCopy(one: CopyInstruction | AddInstruction, esc: string): string | undefined {
  const { from, chown, chmod, link, parents, exclude, keepGitDir, checksum, unpack } = one.flags;
  const booleans = { link, parents, 'keep-git-dir': keepGitDir, unpack };
  const flags = [
    ...Object.entries({ from, chown, chmod, checksum }).flatMap(([name, value]) =>
      flag(name, value, esc),
    ),
    ...Object.entries(booleans).flatMap(([name, value]) => flag(name, value?.toString(), esc)),
    ...exclude.flatMap((pattern) => flag('exclude', pattern, esc)),
  ];
  if (one.heredocs.length === 0)
    return joined(esc, [one.kind, ...flags], JSON.stringify([...one.sources, one.dest]));
  // Quotes in the words decide what is a heredoc, and a word cannot contain a line break.
  if ([...one.sources, one.dest, ...flags].some((word) => /['"\\<]/.test(word))) return undefined;
  const heads = one.heredocs.map(
    ({ name, chomp, expand, fd }) =>
      `${fd || ''}<<${chomp ? '-' : ''}${expand ? name : `"${name}"`}`,
  );
  return withBodies(
    joined(esc, [one.kind, ...flags], [...heads, ...one.sources, one.dest].join(' ')),
    one.heredocs,
  );
}

function withBodies(line: string | undefined, heredocs: readonly Heredoc[]): string | undefined {
  if (line === undefined || !heredocs.every(({ name }) => /^[\w.-]+$/.test(name))) return undefined;
  return [line, ...heredocs.map(({ raw, name }) => `${raw}${name}`)].join('\n');
}

/**
 * Joins the flags and the body. `--` stands between them where the body would be taken for a flag,
 * or the last flag would lose a blank at its end.
 */
function joined(esc: string, head: readonly string[], body: string): string | undefined {
  // A blank outside ASCII splits no words, but is removed at the end of a line.
  if (body !== body.trim()) return undefined;
  if (body === '') return head.length > 1 ? `${head.join(' ')} --` : head.join(' ');
  return `${head.join(' ')} ${/^--/.test(body) ? '-- ' : ''}${ended(body, esc)}`;
}

/**
 * A single escape character at the end of a line would continue the line. Only the last line of a
 * file can end in one, before another.
 */
function ended(text: string, esc: string): string {
  return text.endsWith(esc) && !text.endsWith(esc + esc) ? `${text} ${esc}` : text;
}

function flag(name: string, value: string | undefined, esc: string): string[] {
  if (value === undefined) return [];
  const quoted = [...value].map((char) =>
    /['"\s]/.test(char) || char === esc ? `${esc}${char}` : char,
  );
  return [`--${name}=${quoted.join('')}`];
}
