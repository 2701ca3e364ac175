import { once } from 'node:events';
import { readFileSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cat, KILN, Rig, run } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

const VARIABLE = 'EXPERIMENTAL_BUILDKIT_SOURCE_POLICY';
const BUSYBOX = 'docker-image://docker.io/library/busybox:latest';

const policy = (...rules: readonly object[]) => JSON.stringify({ version: 1, rules });
const deny = (identifier: string) => ({ action: 'DENY', selector: { identifier } });
const convert = (from: string, updates: object) => ({
  action: 'CONVERT',
  selector: { identifier: from },
  updates,
});

/** Makes the image `other`, which has a file more than busybox. */
async function otherImage(rig: Rig): Promise<void> {
  const context = rig.write('other', {
    Dockerfile: 'FROM busybox\nRUN echo other > /which\n',
  });
  await rig.build(context, '-t', 'other:1');
}

test('a denied base fails the build at its line, and another one does not', async () => {
  await using rig = await Rig.create('busybox');
  const context = rig.write('c', { Dockerfile: 'FROM scratch\nFROM busybox\nRUN true\n' });
  rig.write('.', {
    'p.json': policy(deny('docker-image://*busybox:*')),
    'bad.json': '{"rules":1}',
  });
  const env = (file: string) => ({ env: { [VARIABLE]: rig.path(file) } });
  const denied = await rig.kiln(['build', context], { expect: 1, ...env('p.json') });
  assert.match(
    denied.stderr,
    `could not resolve image due to policy: source "${BUSYBOX}" denied by policy`,
  );
  assert.match(denied.stderr, /Dockerfile:2/);
  assert.match(denied.stderr, /KILN_SOURCE_DENIED/);
  rig.write('.', { 'file.json': policy(deny('local://dockerfile')) });
  const unread = await rig.kiln(['build', context], { expect: 1, ...env('file.json') });
  assert.match(unread.stderr, /source "local:\/\/dockerfile" denied by policy/);
  const bad = await rig.kiln(['build', context], { expect: 1, ...env('bad.json') });
  assert.match(bad.stderr, /rules is 1, and must be a list/);
  const gone = await rig.kiln(['build', context], { expect: 1, ...env('gone.json') });
  assert.match(gone.stderr, /the source policy of EXPERIMENTAL_BUILDKIT_SOURCE_POLICY .*gone.json/);
  rig.write('.', { 'p.json': policy(deny('docker-image://*alpine:*')) });
  await rig.kiln(['build', context], { expect: 0, ...env('p.json') });
});

test('a base is replaced in the image, in its cache and in its provenance', async () => {
  await using rig = await Rig.create('busybox');
  await otherImage(rig);
  const context = rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN cat /which > /told || echo busybox > /told\n',
  });
  const other = 'docker-image://docker.io/library/other:1';
  rig.write('.', { 'p.json': policy(convert(BUSYBOX, { identifier: other })) });
  const env = { [VARIABLE]: rig.path('p.json') };
  await rig.build(context, '-t', 'plain');
  const args = ['build', '-t', 'converted', '--provenance=mode=max', context];
  await rig.kiln([...args, '--output', 'type=local,dest=out'], {
    env,
    expect: 0,
    cwd: rig.directory,
  });
  await rig.kiln(args, { env, expect: 0 });
  assert.is(await cat(rig, 'plain', '/told'), 'busybox\n');
  assert.is(await cat(rig, 'converted', '/told'), 'other\n');
  const statement = readFileSync(rig.path('out/provenance.json'), 'utf8');
  assert.match(statement, /pkg:docker\/other@1/);
  assert.not.match(statement, /pkg:docker\/busybox/);
});

test('a named context of an image is replaced by a directory, and a base is not', async () => {
  await using rig = await Rig.create('busybox');
  const dockerfile = 'FROM scratch\nCOPY --from=there /f /f\n';
  const context = rig.write('c', { Dockerfile: dockerfile, f: 'of the context' });
  rig.write('.', { 'p.json': policy(convert(BUSYBOX, { identifier: 'local://context' })) });
  const env = { [VARIABLE]: rig.path('p.json') };
  const named = ['--build-context', 'there=docker-image://busybox'];
  await rig.kiln(['build', ...named, '-o', 'out', context], { env, expect: 0 });
  assert.is(readFileSync(rig.path('out/f'), 'utf8'), 'of the context');
  const base = rig.write('base', { Dockerfile: 'FROM busybox\nRUN true\n' });
  const refused = await rig.kiln(['build', base], { env, expect: 1 });
  assert.match(refused.stderr, /an image is replaced by "local:.*context", which is no image/);
});

test('a downloaded file must have the checksum that a policy sets', async () => {
  await using rig = await Rig.create('busybox');
  const server = createServer((_request, response) => response.end('text')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/f`;
    const context = rig.write('c', { Dockerfile: `FROM busybox\nADD ${url} /f\n` });
    const checksum = `sha256:${'0'.repeat(64)}`;
    rig.write('.', {
      'p.json': policy(convert('http://127.0.0.1:*', { attrs: { 'http.checksum': checksum } })),
    });
    await rig.build(context);
    const env = { [VARIABLE]: rig.path('p.json') };
    const wrong = await rig.kiln(['build', context], { env, expect: 1 });
    assert.match(wrong.stderr, /KILN_HTTP_CHECKSUM/);
  } finally {
    server.close();
  }
});

test('docker buildx sends the policy of its environment along', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  await otherImage(rig);
  const context = rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN cat /which || echo it is busybox\n',
  });
  const other = 'docker-image://docker.io/library/other:1';
  rig.write('.', {
    'deny.json': policy(deny(BUSYBOX)),
    'convert.json': policy(convert(BUSYBOX, { identifier: other })),
  });
  const env = (file: string) => ({ env: { [VARIABLE]: rig.path(file) } });
  const denied = await serve.build([context], { expect: 1, ...env('deny.json') });
  assert.match(denied, `source "${BUSYBOX}" denied by policy: source denied by policy`);
  assert.match(denied, />>> FROM busybox/);
  const converted = await serve.build([context], env('convert.json'));
  assert.match(converted, /^#\d+ [\d.]+ other$/m);
  assert.match(await serve.build([context]), /^#\d+ [\d.]+ it is busybox$/m);
  // So do a build that is sent elsewhere, and buildctl.
  const sent = ['build', '--builder', `unix://${serve.socket}`, '--progress=plain', context];
  const elsewhere = await rig.kiln(sent, { expect: 1, ...env('deny.json') });
  assert.match(elsewhere.stderr, /denied by policy/);
  const buildctl = join(rig.directory, 'buildctl');
  symlinkSync(KILN, buildctl);
  const options = ['--frontend', 'dockerfile.v0', '--progress=plain'];
  const locals = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
  const policed = ['--source-policy-file', rig.path('convert.json')];
  const controlled = await run(
    [buildctl, '--addr', `unix://${serve.socket}`, 'build', ...options, ...locals, ...policed],
    { expect: 0 },
  );
  assert.match(controlled.stderr, /FROM docker\.io\/library\/other:1@sha256/);
});

test.run();
