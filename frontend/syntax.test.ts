import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { checkSyntax, LANGUAGE } from './syntax.ts';

const OWN = [
  'docker/dockerfile',
  'docker/dockerfile:1',
  'docker/dockerfile:1.7-labs',
  'docker/dockerfile:1.4.1',
  'docker/dockerfile:labs',
  `docker/dockerfile:${LANGUAGE}`,
  'docker.io/docker/dockerfile:1',
  'docker.io/docker/dockerfile-upstream:master',
  'mirror.example.com:5000/hub/docker/dockerfile:1',
  'docker/dockerfile:1 some arguments',
];
const FOREIGN = [
  'acme.invalid/custom-frontend:1',
  'hadolint-like/pack',
  'dockerfile',
  'example/docker-dockerfile',
  'tonistiigi/dockerfile:x',
];
const D = `sha256:${'0'.repeat(64)}`;

function check(text: string, override?: string): string {
  return checkSyntax({ name: 'Dockerfile', text }, override)
    .map(({ short }) => short)
    .join();
}

function refused(text: string, override?: string): KilnError {
  try {
    check(text, override);
  } catch (error) {
    if (error instanceof KilnError && error.code === 'KILN_FRONTEND_UNSUPPORTED') return error;
    throw error;
  }
  throw new Error(`taken: ${text}`);
}

for (const name of OWN)
  test(`${name} is Kiln's own frontend`, () =>
    assert.is(check(`# syntax=${name}\nFROM scratch\n`), ''));

for (const name of FOREIGN)
  test(`${name} is refused, with the line and what to do`, () => {
    const error = refused(`# escape=\\\n# syntax = ${name}\nFROM scratch\n`);
    assert.match(error.message, name);
    assert.match(error.message, 'does not run frontends from images');
    assert.match(error.hint ?? '', 'BUILDKIT_SYNTAX=docker/dockerfile:1');
    assert.is(error.place?.kind === 'source' && error.place.start.line, 2);
  });

test('an invalid name is refused', () => {
  refused('# syntax=$FOO\nFROM scratch\n');
  refused('# syntax=UPPER/Case\nFROM scratch\n');
});

test('a digest, or a newer version than that of Kiln, gives a warning', () => {
  assert.match(
    check(`# syntax=docker/dockerfile:1@${D}\nFROM scratch\n`),
    /is not the one that sha256:0+… names/,
  );
  const [major, minor] = LANGUAGE.split('.').map(Number);
  for (const tag of [`${major}.${minor! + 1}`, `${major}.${minor! + 1}-labs`, `${major! + 1}`])
    assert.match(check(`# syntax=docker/dockerfile:${tag}\nFROM scratch\n`), `up to ${LANGUAGE}`);
});

test('only directives at the top count', () => {
  for (const text of [
    'FROM scratch\n# syntax=acme/x\n',
    '# a comment\n# syntax=acme/x\nFROM scratch\n',
    '\n# syntax=acme/x\nFROM scratch\n',
    '# unlike=this\nFROM scratch\n# syntax=acme/x\n',
    '',
  ])
    assert.is(check(text), '');
});

test('lines in other comment styles, after a shebang, and in JSON are found as in BuildKit', () => {
  refused('// syntax=acme/x\npackage main\n');
  refused('#!/usr/bin/env docker\n# syntax=acme/x\nFROM scratch\n');
  refused('{ "syntax": "acme/x", "other": "1" }');
  refused('\ufeff# SYNTAX=acme/x\r\nFROM scratch\r\n');
  assert.is(check('{ "other": "1" }'), '');
  assert.is(check('{ "syntax": '), '');
});

test('BUILDKIT_SYNTAX takes precedence over the line', () => {
  assert.is(check('# syntax=acme/x\nFROM scratch\n', 'docker/dockerfile:1'), '');
  const error = refused('# syntax=docker/dockerfile:1\nFROM scratch\n', 'acme/x');
  assert.equal(error.place, { kind: 'flag', flag: '--build-arg BUILDKIT_SYNTAX' });
  refused('# syntax=acme/x\nFROM scratch\n', '');
});

test.run();
