import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const FRONTEND = join(import.meta.dirname, '..');

/**
 * Every Dockerfile in the tests, and the inputs with which fuzzing once found a mistake
 * (testdata/fuzz.json).
 */
export function dockerfiles(): readonly string[] {
  const seeds = join(FRONTEND, 'testdata/seeds');
  const graphs = join(FRONTEND, 'convert/testdata');
  return [
    ...readdirSync(seeds).map((name) => readFileSync(join(seeds, name), 'utf8')),
    ...readdirSync(graphs)
      .filter((name) => name.endsWith('.golden'))
      .map(
        (name) =>
          (JSON.parse(readFileSync(join(graphs, name), 'utf8')) as { dockerfile: string })
            .dockerfile,
      ),
    ...strings(JSON.parse(readFileSync(join(FRONTEND, 'testdata/parse.json'), 'utf8'))).filter(
      (text) => text.includes('FROM'),
    ),
    ...found(),
  ];
}

/** The inputs with which fuzzing found a mistake. They are tried first each time. */
export function found(): readonly string[] {
  return JSON.parse(readFileSync(join(FRONTEND, 'testdata/fuzz.json'), 'utf8')) as string[];
}

/** The .dockerignore files in the tests' data. */
export function ignoreFiles(): readonly string[] {
  return strings(JSON.parse(readFileSync(join(FRONTEND, 'testdata/ignore.json'), 'utf8'))).filter(
    (text) => /[*!\n]/.test(text),
  );
}

function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(strings);
  return typeof value === 'object' && value !== null
    ? [...Object.keys(value), ...Object.values(value).flatMap(strings)]
    : [];
}

/** What mutations insert: the marks and words that have a meaning in a Dockerfile. */
export const TOKENS: readonly string[] = [
  ...[
    '\n',
    '\r\n',
    '\\\n',
    '`\n',
    ' \\ \n\n',
    '\t',
    '\u00a0',
    '\ufeff',
    '\0',
    '\u2028',
    '#',
    '# x\n',
    '"',
    "'",
    '\\',
    '`',
    '$',
    '${',
    '}',
    ':-',
    '//',
    '%%',
    '##',
  ],
  ...[
    'FROM a\n',
    ' AS b',
    'RUN ',
    'COPY ',
    'ADD ',
    'ENV ',
    'ARG ',
    'ONBUILD ',
    'HEALTHCHECK ',
    'LABEL ',
    'SHELL ',
    'VOLUME ',
    'EXPOSE ',
    'from ',
    'CMD ',
    'NONE',
  ],
  ...[
    '<<E',
    '<<-E',
    '<<"E"',
    '3<<E',
    '\nE\n',
    '\n\tE\n',
    '<<',
    '["',
    '", "',
    '"]',
    '[]',
    '{}',
    '--mount=',
    'type=bind',
    ',target=/x',
    '--from=',
    '--chown=',
    '--',
  ],
  ...[
    '--link',
    '--parents',
    '--exclude=',
    '--interval=',
    '5s',
    '--platform=',
    '# escape=`\n',
    '# syntax=x\n',
    '# check=skip=all\n',
    '=',
    '/./',
    '**',
    '!',
  ],
];
