import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { compileMatch } from '../base/gomatch.ts';
import { checkDockerfile } from './check/check.ts';
import { renderError } from './diagnostics.ts';
import { expandWord } from './expand/expand.ts';
import { ignoreFilter, parseIgnore } from './ignore.ts';
import { parseDockerfile, parseInstruction } from './parse.ts';
import { splitMount } from './tokens.ts';

/** Few runs in the test suite; KILN_SOAK=1 makes more. */
const numRuns = process.env['KILN_SOAK'] === '1' ? 200_000 : 1500;

/** Runs `action` and returns a KilnError that it throws. Any other error is a bug. */
function orKilnError<T>(action: () => T): T | KilnError {
  try {
    return action();
  } catch (error) {
    if (error instanceof KilnError) return error;
    throw error;
  }
}

const soup = (pieces: readonly string[]) =>
  fc
    .array(
      fc.oneof(
        { weight: 8, arbitrary: fc.constantFrom(...pieces) },
        { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 5 }) },
      ),
      {
        maxLength: 30,
      },
    )
    .map((list) => list.join(''));

const WORD = [
  '$',
  '${',
  '}',
  ':',
  '-',
  '+',
  '?',
  '#',
  '%',
  '/',
  '//',
  '*',
  '"',
  "'",
  '\\',
  '`',
  'a',
  'zz',
  ' ',
  '\n',
  '1',
  '{',
  '[',
  ']',
  '=',
  'é',
  '😀',
];
const KEYWORDS = [
  'ADD',
  'ARG',
  'CMD',
  'COPY',
  'ENTRYPOINT',
  'ENV',
  'EXPOSE',
  'from',
  'HEALTHCHECK',
  'LABEL',
  'MAINTAINER',
  'ONBUILD',
  'Run',
  'SHELL',
];
const FILE = [
  ...WORD,
  ...KEYWORDS,
  'STOPSIGNAL',
  'USER',
  'VOLUME',
  'WORKDIR',
  '\n',
  '\n',
  '\r\n',
  '\\\n',
  ' \\ \n',
  '#',
  '# escape=`\n',
  '# check=',
  '<<E',
  '\nE\n',
  '<<-',
  '["a","b"]',
  '[',
  '--',
  '--mount=',
  '--from=',
  '--link',
  'type=bind',
  ',',
  '=',
  ' AS ',
  'x=y',
  'NONE',
  '--interval=',
  '5s',
  '\t',
  '\u00a0',
  '\ufeff',
];

test('for any Dockerfile the parser throws nothing but a KilnError with a place', () => {
  fc.assert(
    fc.property(soup(FILE), fc.boolean(), (body, withFrom) => {
      const text = withFrom ? `FROM x\n${body}` : body;
      const result = orKilnError(() => parseDockerfile({ name: 'Dockerfile', text }));
      if (result instanceof KilnError) {
        assert.match(result.code, /^KILN_DOCKERFILE_/);
        assert.is(result.place?.kind, 'source');
        assert.ok(renderError(result).includes(result.message));
      } else {
        orKilnError(() => checkDockerfile(result));
        for (const { range, original } of result.stages.flatMap(
          ({ instructions }) => instructions,
        )) {
          assert.ok(
            range.start.line >= 1 &&
              range.end.line >= range.start.line &&
              range.end.line <= text.split('\n').length,
          );
          assert.is(original, original.trim() === '' ? original : original.replace(/^[ \t]+/, ''));
        }
      }
    }),
    { numRuns },
  );
});

test('for any word expansion throws nothing but a KilnError, and plain text is unchanged', () => {
  const environment = new Map([
    ['a', '1 2'],
    ['zz', 'foo/bar*'],
  ]);
  fc.assert(
    fc.property(
      soup(WORD),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      (word, rawQuotes, rawEscapes, keepUnset) => {
        const result = orKilnError(() =>
          expandWord(word, environment, { rawQuotes, rawEscapes, keepUnset }),
        );
        if (!(result instanceof KilnError) && !/[$'"\\]/.test(word)) assert.is(result.text, word);
      },
    ),
    { numRuns },
  );
});

test('text in single quotes expands to itself', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      fc.pre(!text.includes("'"));
      assert.is(expandWord(`'${text}'`, new Map()).text, text);
    }),
    { numRuns },
  );
});

test('a .dockerignore of any text is read or refused, and never prunes what it includes', () => {
  const pattern = soup([
    '*',
    '**',
    '/',
    '!',
    '\n',
    '\n',
    'a',
    'b',
    'a/b',
    '?',
    '[',
    ']',
    '\\',
    '#',
    ' ',
    '.',
    '-',
    '^',
  ]);
  const path = fc
    .array(fc.constantFrom('a', 'b', 'ab', '.x', 'c'), { minLength: 1, maxLength: 4 })
    .map((names) => names.join('/'));
  fc.assert(
    fc.property(pattern, fc.array(path, { maxLength: 8 }), (text, paths) => {
      const filter = orKilnError(() => ignoreFilter(parseIgnore({ name: '.dockerignore', text })));
      if (filter instanceof KilnError) return;
      for (const one of paths) {
        const included = filter.includes(one, false);
        assert.is(filter.explain(one) === undefined, included);
        const names = one.split('/');
        const above = names.slice(1).map((_, i) => names.slice(0, i + 1).join('/'));
        if (above.some((folder) => filter.prune(folder))) assert.not(included);
      }
    }),
    { numRuns },
  );
});

test('wildcards, mounts and triggers of any text are read or refused', () => {
  fc.assert(
    fc.property(soup(FILE), (text) => {
      orKilnError(() => compileMatch(text)(text));
      orKilnError(() => splitMount(text));
      orKilnError(() => parseInstruction(text));
    }),
    { numRuns },
  );
});

test('fields without commas and quotes are split at the commas alone', () => {
  const field = fc.stringMatching(/^[a-z=/. ]{1,8}$/);
  fc.assert(
    fc.property(
      fc.array(field, { minLength: 1, maxLength: 6 }),
      fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
      (fields, quoted) => {
        const value = fields.map((text, i) => (quoted[i] ? `"${text},"""` : text)).join(',');
        assert.equal(
          splitMount(value),
          fields.map((text, i) => (quoted[i] ? `${text},"` : text)),
        );
      },
    ),
    { numRuns },
  );
});

test.run();
