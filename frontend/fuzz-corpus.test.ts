import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { mutateText } from '../base/testing/mutate.ts';
import { randomOf } from '../base/testing/random.ts';
import { checkDockerfile } from './check/check.ts';
import { convertDockerfile } from './convert/convert.ts';
import { renderError } from './diagnostics.ts';
import { expandWord } from './expand/expand.ts';
import type { FrontendRequest } from './frontend.ts';
import { ignoreFilter, parseIgnore } from './ignore.ts';
import type { Dockerfile } from './instructions.ts';
import { parseDockerfile } from './parse.ts';
import { dockerfiles, found, ignoreFiles, TOKENS } from './testing/corpus.ts';
import { printDockerfile } from './testing/print.ts';
import { requestOf } from './testing/request.ts';
import { splitMount } from './tokens.ts';

/**
 * Mutates every Dockerfile in the tests. It makes few runs in the test suite; KILN_SOAK=1 makes
 * 200,000, and KILN_SEED repeats a run.
 */
const SOAK = process.env['KILN_SOAK'] === '1';
const seed = Number(process.env['KILN_SEED'] ?? (SOAK ? Date.now() % 1_000_000 : 1));
const random = randomOf(seed);
const count = SOAK ? 200_000 : 2_500;
const corpus = dockerfiles();
if (SOAK) console.log(`seed ${seed}, ${corpus.length} Dockerfiles`);

function failed(text: string, error: unknown): Error {
  return new Error(
    `input ${JSON.stringify(text)}: ${error instanceof Error ? error.stack : error}`,
  );
}

function mutations(runs: number, texts: readonly string[], check: (text: string) => void): void {
  for (let run = 0; run < runs; run++) {
    const text = mutateText(random, texts, TOKENS);
    try {
      check(text);
    } catch (error) {
      throw failed(text, error);
    }
  }
}

function parsed(text: string): Dockerfile | undefined {
  try {
    return parseDockerfile({ name: 'Dockerfile', text });
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    assert.match(error.code, /^KILN_DOCKERFILE_/);
    assert.ok(error.hint, 'an error without a hint');
    assert.ok(renderError(error).includes(error.message));
    return undefined;
  }
}

function orKilnError(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
  }
}

/** Fields that say nothing about the meaning: places, and how the text was written. */
const ASIDE = new Set([
  'range',
  'place',
  'keyword',
  'original',
  'docComment',
  'asKeyword',
  'notes',
  'source',
]);
const meaning = (document: Dockerfile) =>
  JSON.parse(JSON.stringify(document, (key, value) => (ASIDE.has(key) ? undefined : value)));

function checkStable(text: string): void {
  const document = parsed(text);
  const printed = document && printDockerfile(document);
  if (!document || printed === undefined) return;
  assert.equal(
    meaning(parseDockerfile({ name: 'printed', text: printed })),
    meaning(document),
    printed,
  );
}

test('every Dockerfile of the tests, printed and parsed again, means the same', () => {
  for (const text of corpus) checkStable(text);
});

test('mistakes that fuzzing found once do not come back', () => {
  for (const text of found()) checkStable(text);
});

test('mutations are read or refused with place and hint, and mean the same when printed', () => {
  mutations(count, corpus, (text) => {
    checkStable(text);
    const document = parsed(text);
    if (document) orKilnError(() => checkDockerfile(document));
  });
});

const AMD64 = { os: 'linux', architecture: 'amd64' };

function request(text: string): FrontendRequest {
  return requestOf(text, {
    buildArgs: new Map([['A', '$B']]),
    resolveImage: async (name) =>
      ({ name, digest: digestOf(name), config: { ...AMD64, config: {} }, local: true }) as never,
  });
}

test('mutations that parse become a graph or a KilnError', async () => {
  for (let run = 0; run < count / 10; run++) {
    const text = mutateText(random, corpus, TOKENS);
    const document = parsed(text);
    if (!document) continue;
    try {
      await convertDockerfile(request(text), document);
    } catch (error) {
      if (!(error instanceof KilnError)) throw failed(text, error);
    }
  }
});

test('mutations of words, mounts and .dockerignore files are read or refused', () => {
  const words = corpus
    .flatMap((text) => text.split(/\s+/))
    .filter((word) => /[$'"\\,=]/.test(word));
  const environment = new Map([
    ['VERSION', '1.0'],
    ['P', '/a/b.tar.gz'],
  ]);
  mutations(count, words, (word) => {
    orKilnError(() => expandWord(word, environment));
    orKilnError(() => expandWord(word, environment, { rawQuotes: true, keepUnset: true }));
    orKilnError(() => splitMount(word));
  });
  mutations(count / 5, ignoreFiles(), (text) =>
    orKilnError(() =>
      ignoreFilter(parseIgnore({ name: '.dockerignore', text })).includes('a/b/c', false),
    ),
  );
});

test.run();
