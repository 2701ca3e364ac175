import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../base/errors.ts';
import { LANGUAGE, noImageFrontends, requestedSyntax, type SyntaxImage } from './syntax.ts';

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
  `docker/dockerfile@sha256:${'1'.repeat(64)}`,
  'example/docker-dockerfile',
  'tonistiigi/dockerfile:x',
];
const D = `sha256:${'0'.repeat(64)}`;

/** The warnings, of a file that the built-in frontend reads. */
function check(text: string, override?: string): string {
  const { image, warnings } = requestedSyntax({ name: 'Dockerfile', text }, override);
  assert.is(image, undefined);
  return warnings.map(({ short }) => short).join();
}

/** The image, of a file that the frontend in an image reads. */
function imageFor(text: string, override?: string): SyntaxImage {
  const { image, warnings } = requestedSyntax({ name: 'Dockerfile', text }, override);
  assert.equal(warnings, []);
  if (!image) throw new Error(`taken: ${text}`);
  return image;
}

for (const name of OWN)
  test(`${name} is Kiln's own frontend`, () =>
    assert.is(check(`# syntax=${name}\nFROM scratch\n`), ''));

for (const name of FOREIGN)
  test(`${name} is run from its image, or refused with its line where none is run`, () => {
    const image = imageFor(`# escape=\\\n# syntax = ${name} some arguments\nFROM scratch\n`);
    assert.is(image.name, name);
    assert.is(image.cmdline, `${name} some arguments`);
    assert.is(image.place.kind === 'source' && image.place.start.line, 2);
    const error = noImageFrontends(image);
    assert.is(error.place, image.place);
    assert.match(error.message, name);
    assert.match(error.hint ?? '', 'BUILDKIT_SYNTAX=docker/dockerfile:1');
  });

test('a name that is not the name of an image is refused', () => {
  for (const name of ['$FOO', 'UPPER/Case'])
    assert.throws(
      () => check(`# syntax=${name}\nFROM scratch\n`),
      (error: KilnError) => error.code === 'KILN_FRONTEND_UNSUPPORTED',
    );
});

test("Docker's frontend is run from its image when a digest names it", () => {
  const name = `docker/dockerfile:1@${D}`;
  assert.is(imageFor(`# syntax=${name}\nFROM scratch\n`).name, name);
});

test('a newer version than that of Kiln gives a warning', () => {
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
  imageFor('// syntax=acme/x\npackage main\n');
  imageFor('#!/usr/bin/env docker\n# syntax=acme/x\nFROM scratch\n');
  imageFor('{ "syntax": "acme/x", "other": "1" }');
  imageFor('\ufeff# SYNTAX=acme/x\r\nFROM scratch\r\n');
  assert.is(check('{ "other": "1" }'), '');
  assert.is(check('{ "syntax": '), '');
});

test('BUILDKIT_SYNTAX takes precedence over the line', () => {
  assert.is(check('# syntax=acme/x\nFROM scratch\n', 'docker/dockerfile:1'), '');
  const image = imageFor('# syntax=docker/dockerfile:1\nFROM scratch\n', 'acme/x');
  assert.equal(image.place, { kind: 'flag', flag: '--build-arg BUILDKIT_SYNTAX' });
  imageFor('# syntax=acme/x\nFROM scratch\n', '');
});

test.run();
