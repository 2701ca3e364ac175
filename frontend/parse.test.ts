import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../base/errors.ts';
import { expandWord } from './expand/expand.ts';
import type { CommandLine, Dockerfile, Instruction, RunInstruction } from './instructions.ts';
import { parseDockerfile, parseInstruction } from './parse.ts';
import { asBuildKitSays } from './problem.ts';

const parse = (text: string): Dockerfile => parseDockerfile({ name: 'Dockerfile', text });
const only = <K extends Instruction['kind']>(
  text: string,
  kind: K,
): Extract<Instruction, { kind: K }> => {
  const instruction = parse(`FROM x\n${text}`).stages[0]!.instructions[0]!;
  assert.is(instruction.kind, kind);
  return instruction as Extract<Instruction, { kind: K }>;
};
function failureOf(run: () => unknown): KilnError {
  try {
    run();
  } catch (error) {
    return error as KilnError;
  }
  return assert.unreachable('expected an error') as never;
}

interface Golden {
  readonly dockerfile: string;
  readonly error?: string;
  readonly config?: Record<string, unknown>;
}
/** What Docker 28.5 makes of each file: the error of the build, or the image's config. */
const GOLDENS: Golden[] = JSON.parse(
  readFileSync(join(import.meta.dirname, 'testdata/parse.json'), 'utf8'),
);

/**
 * Docker's words that are not the parser's business: they come when the graph is made or run, or
 * are limits that we do not have.
 */
const LATER = new RegExp(
  [
    '^failed to process',
    'not found',
    '^process "',
    'arguments are required',
    'unsupported mount type',
    '^invalid field',
    'check options',
    '^invalid containerPort',
    'max allowed size',
    'checksum',
    'digest',
    '^device feature',
    'unknown flag: --(security|exclude|parents|unpack)',
  ].join('|'),
);
/** A flag that this Docker does not have yet. */
const NEWER = /--security=/;
/**
 * Docker says it as the first thing about the whole file; we say which instruction stands too
 * early.
 */
const LONGER = ['no build stage in current context', 'unterminated heredoc'];
/** Docker says `only one` where there is none. */
const honest = (words: string, file: string) =>
  /(ADD|COPY --chown=1 --foo\\)\n$/.test(file) ? words.replace('only one', 'none') : words;

for (const { dockerfile, error, config } of GOLDENS.filter(
  (golden) => !NEWER.test(golden.dockerfile),
)) {
  const title = JSON.stringify(
    dockerfile.length > 120 ? `${dockerfile.slice(0, 120)}…` : dockerfile,
  );
  if (error !== undefined && !LATER.test(error)) {
    test(`refuses ${title} in Docker's words`, () => {
      const { code, message, place } = failureOf(() => parse(dockerfile));
      const [, line, words] = /^(?:dockerfile parse error on line (\d+): )?([\s\S]*)$/.exec(error)!;
      assert.match(code, /^KILN_DOCKERFILE_/);
      if (LONGER.includes(error)) assert.ok(message.startsWith(error), message);
      else {
        assert.is(message, honest(words!, dockerfile));
        const said = asBuildKitSays(failureOf(() => parse(dockerfile)));
        assert.is(said, honest(error, dockerfile));
      }
      if (line) assert.is(place?.kind === 'source' && place.start.line, Number(line));
    });
  } else {
    test(`reads ${title}`, () => {
      const stages = parse(dockerfile).stages;
      if (config) assert.equal(configOf(stages.at(-1)!.instructions), relevant(config));
    });
  }
}

/**
 * The parts of an image config that follow from one instruction alone, made in the simplest way.
 */
function configOf(instructions: readonly Instruction[]): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  const shell = instructions.find((instruction) => instruction.kind === 'shell')?.shell ?? [
    '/bin/sh',
    '-c',
  ];
  const argv = (command: CommandLine) =>
    command.form === 'exec' ? [...command.args] : [...shell, command.text];
  const plain = (word: string) => expandWord(word, new Map()).text;
  for (const one of instructions) {
    if (one.kind === 'cmd') config['Cmd'] = argv(one.command);
    else if (one.kind === 'entrypoint') config['Entrypoint'] = argv(one.command);
    else if (one.kind === 'onbuild') config['OnBuild'] = [one.expression];
    else if (one.kind === 'user') config['User'] = plain(one.user);
    else if (one.kind === 'volume')
      config['Volumes'] = Object.fromEntries(one.paths.map((path) => [plain(path), {}]));
    else if (one.kind === 'label')
      config['Labels'] = Object.fromEntries(
        one.entries.map(({ key, value }) => [plain(key), plain(value)]),
      );
    else if (one.kind === 'env')
      config['Env'] = one.entries.map(({ key, value }) => `${key}=${plain(value)}`);
    else if (one.kind === 'shell') config['Shell'] = one.shell;
    else if (one.kind === 'healthcheck') {
      const { test: command } = one;
      const args =
        command?.form === 'exec' ? ['CMD', ...command.args] : ['CMD-SHELL', command?.text];
      config['Healthcheck'] = stripped({
        Test: command ? args : ['NONE'],
        Interval: one.interval,
        Timeout: one.timeout,
        StartPeriod: one.startPeriod,
        StartInterval: one.startInterval,
        Retries: one.retries || undefined,
      });
    }
  }
  return relevant(config);
}

function stripped(object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

function relevant(config: Record<string, unknown>): Record<string, unknown> {
  const names = [
    'Cmd',
    'Entrypoint',
    'OnBuild',
    'User',
    'Volumes',
    'Labels',
    'Env',
    'Shell',
    'Healthcheck',
  ];
  const full = (value: unknown) =>
    value !== undefined && value !== null && Object.keys(value as object).length > 0;
  return Object.fromEntries(
    names.filter((name) => full(config[name])).map((name) => [name, config[name]]),
  );
}

const SEEDS = join(import.meta.dirname, 'testdata/seeds');
/**
 * As their documents print them, these are no Dockerfiles: an elision, a shell prompt, a line
 * broken off.
 */
const BROKEN: Record<string, string> = { A12: '...', A19: '...', A46: '$', D1: 'apt/sources.list' };

for (const file of readdirSync(SEEDS).filter((name) => name.endsWith('.Dockerfile'))) {
  const text = readFileSync(join(SEEDS, file), 'utf8');
  const name = file.replace('.Dockerfile', '');
  const broken = BROKEN[name];
  test(broken ? `seed ${name} is refused at the word ${broken}` : `seed ${name} is read`, () => {
    const isFragment = !/^\s*FROM\s/im.test(text) && broken === undefined;
    const whole = isFragment ? `FROM base\n${text}` : text;
    if (broken === undefined) assert.ok(parse(whole).stages.length > 0);
    else assert.is(failureOf(() => parse(whole)).message, `unknown instruction: ${broken}`);
  });
}

test('stages, their names and their comments are kept', () => {
  const { stages, globalArgs } = parse(
    '# v the version\n' +
      'ARG v=1 w\n' +
      '# build makes it\n' +
      'FROM --platform=$P a:$v as Build\n' +
      '# no\n\n' +
      'from build\n',
  );
  assert.equal(globalArgs[0]?.args, [
    { key: 'v', value: '1', docComment: 'the version' },
    { key: 'w', value: undefined, docComment: '' },
  ]);
  const [first, second] = stages.map(({ from }) => from);
  assert.equal(
    [first?.image, first?.platform, first?.name, first?.nameAsWritten, first?.asKeyword],
    ['a:$v', '$P', 'build', 'Build', 'as'],
  );
  assert.is(stages[0]?.docComment, 'makes it');
  assert.equal([second?.image, second?.name, second?.keyword], ['build', undefined, 'from']);
});

test('the original text is that of the joined line, the range covers the heredocs', () => {
  const run = parse('FROM x\n\nrun   a \\\n  b <<E  \nbody\nE\nCMD c').stages[0]!
    .instructions[0] as RunInstruction;
  assert.is(run.original, 'run   a   b <<E');
  assert.is(run.keyword, 'run');
  assert.equal([run.range.start.line, run.range.end.line], [3, 6]);
  assert.equal(run.command, { form: 'shell', text: 'a   b <<E' });
  assert.equal(run.heredocs, [
    { name: 'E', chomp: false, expand: true, fd: 0, raw: 'body\n', content: 'body\n' },
  ]);
});

test('RUN flags: mounts are split with their quotes, network and security are checked', () => {
  const run = only(
    'RUN --mount=type=bind,"target=/a,b",RO --mount=type="x y",from=z --network=none ' +
      '--security=insecure --device=a=b true',
    'run',
  );
  assert.equal(
    run.mounts.map(({ fields }) => fields),
    [
      [
        { key: 'type', value: 'bind' },
        { key: 'target', value: '/a' },
        { key: 'b', value: undefined },
        { key: 'ro', value: undefined },
      ],
      [
        { key: 'type', value: 'x y' },
        { key: 'from', value: 'z' },
      ],
    ],
  );
  assert.equal([run.network, run.security, run.devices], ['none', 'insecure', ['a=b']]);
  assert.equal(only('RUN --mount=\'type=bind,"target=/a,b"\' true', 'run').mounts[0]?.fields[1], {
    key: 'target',
    value: '/a,b',
  });
  for (const bad of [
    '--network=x',
    '--security=x',
    '--mount=',
    "--mount='a=\"b'",
    '--mount=from=$x',
    "--mount='a\"b'",
    '--mount=\'"a"b\'',
  ]) {
    assert.is(failureOf(() => only(`RUN ${bad} true`, 'run')).code, 'KILN_DOCKERFILE_FLAG', bad);
  }
});

test('COPY and ADD keep their flags, sources, heredocs and destination apart', () => {
  const copy = only(
    'COPY --from=a --chown=1:2 --chmod=u+x --link --parents=false --exclude=*.a ' +
      '--exclude=b x <<E y /d/\n' +
      'hi\n' +
      'E',
    'copy',
  );
  assert.equal(copy.flags, {
    from: 'a',
    chown: '1:2',
    chmod: 'u+x',
    link: true,
    parents: false,
    exclude: ['*.a', 'b'],
  });
  assert.equal(
    [copy.sources, copy.heredocs.map(({ content }) => content), copy.dest],
    [['x', 'y'], ['hi\n'], '/d/'],
  );
  const add = only('ADD --checksum=sha256:0 --keep-git-dir --unpack=false ["a b", "/d"]', 'add');
  assert.equal(add.flags, { checksum: 'sha256:0', keepGitDir: true, unpack: false, exclude: [] });
  assert.equal([add.sources, add.dest], [['a b'], '/d']);
});

test('values keep their quotes and escapes for whoever expands them', () => {
  assert.equal(only('ENV a="b c" d=\'e\' f=g\\ h', 'env').entries, [
    { key: 'a', value: '"b c"', legacy: false },
    { key: 'd', value: "'e'", legacy: false },
    { key: 'f', value: 'g\\ h', legacy: false },
  ]);
  assert.equal(only('LABEL k  v  w=x', 'label').entries, [
    { key: 'k', value: 'v  w=x', legacy: true },
  ]);
});

test('a thousand labels in one instruction are all read', () => {
  const words = Array.from({ length: 1234 }, (_, i) => `k${i}=v=${i}`);
  const { entries } = only(`LABEL ${words.join(' ')}`, 'label');
  assert.is(entries.length, 1234);
  assert.equal(entries[1233], { key: 'k1233', value: 'v=1233', legacy: false });
});

test('errors point at the word that is wrong and say what to write', () => {
  const flag = failureOf(() => parse('FROM x\nCOPY a\\\n b\nCOPY --chown=1 \\\n  --fom=y a b\n'));
  assert.is(flag.code, 'KILN_DOCKERFILE_UNKNOWN_FLAG');
  assert.is(flag.hint, 'write --from');
  assert.equal(flag.place?.kind === 'source' && [flag.place.start, flag.place.end], [
    { line: 5, column: 3 },
    { line: 5, column: 10 },
  ]);
  const word = failureOf(() => parse('FROM x\n  Copi a b\n'));
  assert.is(word.message, 'unknown instruction: Copi (did you mean copy?)'.replace('copy', 'COPY'));
  assert.equal(word.place?.kind === 'source' && word.place.start, { line: 2, column: 3 });
});

test('each class of mistake has its code and a hint', () => {
  const codes: Record<string, string> = {
    '': 'EMPTY',
    '# x\n': 'EMPTY',
    'ARG a': 'NO_STAGE',
    'RUN a': 'BEFORE_FROM',
    'FROM x\nFOO': 'UNKNOWN_INSTRUCTION',
    'FROM --x=y z': 'UNKNOWN_FLAG',
    'FROM x\nCOPY --link=z a b': 'FLAG',
    'FROM x\nENV a': 'SYNTAX',
    'FROM x\nCMD [1]': 'JSON',
    'FROM x\nRUN <<E\n': 'HEREDOC',
    '# escape=z': 'DIRECTIVE',
    'FROM x AS 1': 'STAGE_NAME',
    'FROM x\nONBUILD FROM y': 'ONBUILD',
  };
  for (const [text, code] of Object.entries(codes)) {
    const error = failureOf(() => parse(text));
    assert.is(error.code, `KILN_DOCKERFILE_${code}`, text);
    assert.is(error.place?.kind, 'source', text);
    if (code !== 'ONBUILD') assert.ok(error.hint, text);
  }
});

test('an ONBUILD trigger is read by itself, heredocs included', () => {
  const trigger = parse('FROM x\nONBUILD COPY <<E /d\nab\nE\n').stages[0]!.instructions[0]!;
  assert.is(trigger.kind, 'onbuild');
  if (trigger.kind !== 'onbuild') return;
  assert.is(trigger.expression, 'COPY <<E /d\nab\nE');
  const copy = parseInstruction(trigger.expression);
  assert.equal(copy.kind === 'copy' && [copy.dest, copy.heredocs[0]?.content], ['/d', 'ab\n']);
  for (const text of ['', 'RUN a\nRUN b', 'FROM x', 'ONBUILD RUN x', 'FOO']) {
    assert.match(
      failureOf(() => parseInstruction(text)).code,
      /^KILN_DOCKERFILE_(ONBUILD|UNKNOWN_INSTRUCTION)$/,
      text,
    );
  }
});

test('a RUN of a megabyte is one token', () => {
  for (const body of [
    'word '.repeat(200_000),
    '[ '.repeat(500_000),
    '"[" '.repeat(250_000),
    `<< ${'x<<'.repeat(300_000)}`,
  ]) {
    assert.is(only(`RUN ${body}x`, 'run').command.form, 'shell');
  }
});

test.run();
