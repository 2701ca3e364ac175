import { test } from 'uvu';
import { KilnError } from '../base/errors.ts';
import { compileMatch } from '../base/gomatch.ts';
import { parseReference } from '../base/reference.ts';
import { randomOf } from '../base/testing/random.ts';
import { checkDockerfile } from './check/check.ts';
import { expandWord } from './expand/expand.ts';
import { ignoreFilter, parseIgnore } from './ignore.ts';
import { parseDockerfile } from './parse.ts';
import { TOKENS } from './testing/corpus.ts';
import { splitMount } from './tokens.ts';

/**
 * Checks that time grows linearly with the length of the text: each text repeats one piece, and is
 * compared with a text of twice the length. Because times are measured, this runs only with
 * KILN_SOAK=1. It is coarse: a text is doubled until it takes a while, and only a ratio far from 2
 * that is measured three times counts.
 */
const SLOW_MS = 15;
const LONGEST = 1 << 17;
const FAR_FROM_LINEAR = 3.2;

const environment = new Map([
  ['A', 'a'.repeat(20)],
  ['B', ''],
]);
const KINDS: Readonly<Record<string, (text: string) => unknown>> = {
  'a Dockerfile': (text) => checkDockerfile(parseDockerfile({ name: 'Dockerfile', text })),
  'a RUN': (text) => parseDockerfile({ name: 'Dockerfile', text: `FROM x\nRUN ${text}` }),
  'a COPY': (text) => parseDockerfile({ name: 'Dockerfile', text: `FROM x\nCOPY ${text} /x` }),
  'an ENV': (text) => parseDockerfile({ name: 'Dockerfile', text: `FROM x\nENV A=${text}` }),
  'a heredoc': (text) =>
    parseDockerfile({ name: 'Dockerfile', text: `FROM x\nRUN <<E\n${text}\nE\n` }),
  'a word': (text) => expandWord(text, environment),
  'a value to cut': (text) => expandWord(`\${V%%*x}\${V#*y}\${V//a?/b}`, new Map([['V', text]])),
  'a mount': (text) => splitMount(text),
  'a .dockerignore': (text) =>
    ignoreFilter(parseIgnore({ name: '.dockerignore', text })).includes('a/b', false),
  'a wildcard': (text) => compileMatch(text)('a/b'),
  'a reference': (text) => parseReference(text),
};
const PIECES = [
  ...TOKENS,
  'a',
  ' ',
  'a ',
  'a\n',
  '${A',
  '${A:-',
  '"a"',
  "'a'",
  '$A',
  'a=b ',
  '<<E ',
  'a/',
  '*/',
  '**/',
  '!a\n',
  '[a',
  'a,',
  '"a",',
  '\\\n# c\n',
  'RUN a\n',
  'ENV a=b\n',
  '\\ ',
  '.',
  '..',
  '-',
  '__',
  ':',
  '@',
];

function time(run: (text: string) => unknown, text: string): number {
  let best = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 3 && best > 1; tries++) {
    const start = performance.now();
    try {
      run(text);
    } catch (error) {
      if (!(error instanceof KilnError)) throw error;
    }
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

function checkLinear(kind: string, run: (text: string) => unknown, piece: string): void {
  let text = piece.repeat(Math.ceil(256 / piece.length));
  while (text.length < LONGEST && time(run, text) < SLOW_MS) text += text;
  let ratio = 0;
  for (let tries = 0; tries < 3; tries++) {
    const once = time(run, text);
    if (once < SLOW_MS / 2) return;
    ratio = time(run, text + text) / once;
    if (ratio < FAR_FROM_LINEAR) return;
  }
  throw new Error(
    `${kind} of ${text.length} characters of ${JSON.stringify(piece)}: twice as long takes ` +
      `${ratio.toFixed(1)} times as long`,
  );
}

if (process.env['KILN_SOAK'] !== '1')
  console.log('SKIP time of parsing: measured times are for npm run soak');
else {
  const random = randomOf(Number(process.env['KILN_SEED'] ?? 1));
  const pieces = [
    ...PIECES,
    ...Array.from({ length: 20 }, () => random.some(2, 4, () => random.pick(PIECES)).join('')),
  ];
  const only = process.env['KILN_KIND'];
  for (const [kind, run] of Object.entries(KINDS)) {
    if (only && !kind.includes(only)) continue;
    test(`time grows linearly with the length: ${kind}`, () => {
      const slow: string[] = [];
      for (const piece of pieces) {
        try {
          checkLinear(kind, run, piece);
        } catch (error) {
          slow.push(error instanceof Error ? error.message : String(error));
        }
      }
      if (slow.length > 0) throw new Error(slow.join('\n'));
    });
  }
}

test.run();
