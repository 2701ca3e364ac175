import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../../base/errors.ts';
import { parseDockerfile } from '../parse.ts';
import { Collector, checkDockerfile, checkOptionsOf, violation } from './check.ts';
import { RULES } from './rules.ts';

/** What Docker 28.5 answers to `docker buildx build --call=check,format=json`. */
const GOLDENS: {
  dockerfile: string;
  warnings: { rule: string; message: string; url?: string; lines: number[][] }[];
  error?: string;
}[] = JSON.parse(readFileSync(join(import.meta.dirname, '../testdata/checks.json'), 'utf8'));

/** Rules of the converter, which need the values of variables, the images or the context. */
const CONVERTERS = [
  'UndefinedVar',
  'UndefinedArgInFrom',
  'RedundantTargetPlatform',
  'FromPlatformFlagConstDisallowed',
  'CopyIgnoredFile',
];

for (const { dockerfile, warnings, error } of GOLDENS) {
  test(`finds what Docker finds in ${JSON.stringify(dockerfile)}`, () => {
    const parsed = parseDockerfile({ name: 'Dockerfile', text: dockerfile });
    if (error?.startsWith('failed to parse check options')) {
      assert.throws(
        () => checkOptionsOf(parsed),
        (thrown: KilnError) => thrown.code === 'KILN_DOCKERFILE_CHECK',
      );
      return;
    }
    const wanted = warnings
      .filter(
        ({ rule, message }) =>
          !CONVERTERS.includes(rule) &&
          !/workdir "(C:x)?" can/.test(message) &&
          // Names of files with secrets are harmless since Dockerfile 1.22.
          !/_FILE"\)$/.test(message),
      )
      .map(({ rule, message, lines }) => `${lines[0]?.[0]} ${rule}: ${message}`);
    const found = checkDockerfile(parsed)
      .filter(({ rule }) => rule.by === 'buildkit')
      .map(({ rule, message, range }) => `${range.start.line} ${rule.name}: ${message}`);
    assert.equal(found.sort(), wanted.sort());
  });
}

test('names the 22 rules of BuildKit with the addresses that Docker gives', () => {
  assert.is(Object.values(RULES).filter(({ by }) => by === 'buildkit').length, 22);
  for (const { warnings } of GOLDENS) {
    for (const { rule, url } of warnings)
      if (url) assert.is(RULES[rule as keyof typeof RULES].url, url);
  }
});

test('error=true turns findings into one error with a place', () => {
  const parsed = parseDockerfile({
    name: 'Dockerfile',
    text: '# check=error=true\nFROM scratch AS Foo\n',
  });
  const options = checkOptionsOf(parsed);
  const error = violation(checkDockerfile(parsed, options), options);
  assert.is(error?.message, 'lint violation found for rules: StageNameCasing');
  assert.equal(error?.place?.kind === 'source' && error.place.start.line, 2);
  assert.is(violation([], options), undefined);
});

test('options given from outside replace those of the file', () => {
  const parsed = parseDockerfile({
    name: 'Dockerfile',
    text: '# check=error=true\nFROM scratch AS Foo\n',
  });
  assert.equal(checkDockerfile(parsed, checkOptionsOf(parsed, 'skip=all')), []);
});

test('a finding that is made twice is reported once', () => {
  const found = checkDockerfile(
    parseDockerfile({ name: 'Dockerfile', text: 'FROM scratch AS Foo\n' }),
  );
  assert.is(new Collector().takeAll([...found, ...found]).length, 1);
});

test('a thousand findings of a rule are reported, and one that says that there are more', () => {
  const text = `FROM scratch\n${'MAINTAINER x\n'.repeat(1500)}CMD x\n`;
  const findings = new Collector().takeAll(
    checkDockerfile(parseDockerfile({ name: 'Dockerfile', text })),
  );
  const maintainers = findings.filter(({ rule }) => rule.name === 'MaintainerDeprecated');
  assert.is(maintainers.length, 1001);
  assert.match(
    maintainers.at(-1)!.message,
    /^Only the first 1000 findings of MaintainerDeprecated are shown/,
  );
  assert.is(findings.filter(({ rule }) => rule.name === 'JSONArgsRecommended').length, 1);
});

test.run();
