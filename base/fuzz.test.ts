import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from './errors.ts';
import { compileMatch } from './gomatch.ts';
import { formatPlatform, parsePlatform } from './platform.ts';
import { formatReference, parseReference } from './reference.ts';
import { mutateText } from './testing/mutate.ts';
import { randomOf } from './testing/random.ts';

/**
 * Parsers are tried on mutated names. A normal run is short. KILN_SOAK=1 tries 200,000 inputs, and
 * KILN_SEED repeats a run.
 */
const SOAK = process.env['KILN_SOAK'] === '1';
const random = randomOf(Number(process.env['KILN_SEED'] ?? (SOAK ? Date.now() % 1_000_000 : 1)));
const count = SOAK ? 200_000 : 3_000;

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;
const REFERENCES = [
  'busybox',
  'a/b:1.0',
  'localhost:5000/x',
  'example.org/team/app:v1',
  '[::1]:80/a',
  `a@${DIGEST}`,
  `h.io/b__c-d.e:T@${DIGEST}`,
];
const PLATFORMS = [
  'linux',
  'linux/amd64',
  'linux/arm/v7',
  'windows(10.0)/amd64',
  'arm64',
  'linux(1+f+g)/arm64/v8',
];
const HOST = { os: 'linux', architecture: 'amd64' };
const PATTERNS = ['*.txt', 'a/**/b', '[a-c]?', '[^x]', 'a\\*b', '**', '[]a]', '{a,b}', '*/*/*'];
const TOKENS = [
  ':',
  '/',
  '@',
  '.',
  '-',
  '_',
  '[',
  ']',
  '(',
  ')',
  '*',
  '?',
  '\\',
  '^',
  '//',
  'A',
  'sha256:',
  '%',
  '\0',
  'é',
  '😀',
  '65536',
  'library/',
  'docker.io/',
];

function readOrRefuse<T>(text: string, read: (text: string) => T): T | undefined {
  try {
    return read(text);
  } catch (error) {
    if (error instanceof KilnError) return undefined;
    throw new Error(
      `input ${JSON.stringify(text)}: ${error instanceof Error ? error.stack : error}`,
    );
  }
}

test('a mutated reference is refused, or its full form means the same', () => {
  for (let run = 0; run < count; run++) {
    const text = mutateText(random, REFERENCES, TOKENS);
    const reference = readOrRefuse(text, parseReference);
    if (reference) assert.equal(parseReference(formatReference(reference)), reference, text);
  }
});

test('a mutated platform is refused, or its written form means the same', () => {
  for (let run = 0; run < count; run++) {
    const text = mutateText(random, PLATFORMS, TOKENS);
    const platform = readOrRefuse(text, (value) => parsePlatform(value, HOST));
    if (platform)
      assert.is(
        formatPlatform(parsePlatform(formatPlatform(platform), HOST)),
        formatPlatform(platform),
        text,
      );
  }
});

test('a mutated wildcard pattern is refused, or can be matched', () => {
  for (let run = 0; run < count; run++) {
    const text = mutateText(random, PATTERNS, TOKENS);
    const match = readOrRefuse(text, compileMatch);
    if (match) assert.type(match(mutateText(random, ['a/b/c.txt', 'x', ''], TOKENS)), 'boolean');
  }
});

test.run();
