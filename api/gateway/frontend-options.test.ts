import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseReference } from '../../base/reference.ts';
import { frontendOptionsOf } from '../../builder/image-frontend.ts';
import {
  type BuildRequest,
  buildRequest,
  imageContext,
  remoteContext,
} from '../../builder/request.ts';
import { gitRefOf } from '../../frontend/convert/gitref.ts';
import { readFrontendOptions } from './frontend-options.ts';

const REPOSITORY = 'https://example.com/team/app.git#main';

/** The fields that options of a frontend carry, each with a value that is not the default. */
const CARRIED: Partial<BuildRequest> = {
  target: 'end',
  buildArgs: new Map([
    ['A', 'b=c,d'],
    ['EMPTY', ''],
  ]),
  labels: new Map([['l', 'v']]),
  platforms: [
    { os: 'linux', architecture: 'arm64' },
    { os: 'linux', architecture: 'amd64' },
  ],
  noCache: ['base', 'end'],
  pull: true,
  network: 'host',
  extraHosts: [
    { host: 'db', ip: '10.0.0.1' },
    { host: 'web', ip: '::1' },
  ],
  shmSize: 64 << 20,
  ulimits: [{ name: 'nofile', soft: 1024, hard: -1 }],
  cgroupParent: 'parent',
  namedContexts: new Map([
    ['assets', { kind: 'directory', name: 'assets' }],
    ['base', imageContext('busybox:1')],
    ['empty', imageContext('scratch')],
    ['app', { kind: 'git', url: REPOSITORY, git: gitRefOf(REPOSITORY)! }],
    ['file', { kind: 'http', url: 'https://example.com/file.tar' }],
    ['graph', { kind: 'graph', definition: 'AAEC', config: '{"os":"linux"}' }],
  ]),
};

function readBack(request: BuildRequest): BuildRequest {
  const options = frontendOptionsOf(request);
  const inputs = { graph: Buffer.from('AAEC', 'base64') };
  return readFrontendOptions({ frontend: 'dockerfile.v0', options, inputs }, buildRequest({}));
}

test('options are read into the fields that they were written from', () => {
  const read = readBack(buildRequest(CARRIED));
  for (const [field, value] of Object.entries(CARRIED))
    assert.equal(read[field as keyof BuildRequest], value, field);
  assert.is(readBack(buildRequest({ noCache: 'all' })).noCache, 'all');
  assert.is(readBack(buildRequest({ network: 'none' })).network, 'none');
});

test('a request of defaults writes no option', () => {
  const request = buildRequest({});
  assert.equal(frontendOptionsOf(request), {});
  for (const field of Object.keys(CARRIED) as (keyof BuildRequest)[])
    assert.equal(readBack(request)[field], request[field], field);
});

/** Reads options with the graphs that a client sends along. */
function read(options: Record<string, string>, ...graphs: readonly string[]): BuildRequest {
  const inputs = Object.fromEntries(graphs.map((name) => [name, Buffer.from(name)]));
  return readFrontendOptions({ frontend: 'dockerfile.v0', options, inputs }, buildRequest({}));
}

test('a graph takes the place of the context and of the directory of the Dockerfile', () => {
  const graph = (name: string) => ({
    kind: 'graph',
    definition: Buffer.from(name).toString('base64'),
  });
  const both = read({ filename: 'F' }, 'context', 'dockerfile');
  assert.equal(both.context, graph('context'));
  assert.equal(both.dockerfile, { ...graph('dockerfile'), name: 'F' });
  const lent = { kind: 'lent', directory: 'dockerfile', name: 'Dockerfile' };
  assert.equal(read({}, 'context').dockerfile, lent);
  assert.equal(read({ dockerfilekey: 'dockerfile' }, 'context', 'dockerfile').dockerfile, lent);
  const url = { context: REPOSITORY, filename: 'F' };
  assert.is(read(url, 'context').context.kind, 'remote');
});

test('a question is answered without the targets of bake that the Dockerfile is built on', () => {
  const options = { 'context:base': 'target:base' };
  assert.throws(() => read(options), /context:base/);
  const asked = read({ ...options, requestid: 'frontend.lint' });
  assert.equal(asked.namedContexts.get('base'), { kind: 'unknown' });
});

test('options of clients that buildx does not send are read, too', () => {
  const cache = { type: 'registry', ref: parseReference('r.example/c:1') };
  assert.equal(read({ 'cache-from': 'r.example/c:1' }).cacheFrom, [cache]);
  const imports = JSON.stringify([{ Type: 'registry', Attrs: { ref: 'r.example/c:1' } }]);
  assert.equal(read({ 'cache-imports': imports, 'cache-from': 'r.example/c:1' }).cacheFrom, [
    cache,
  ]);
  assert.throws(() => read({ 'cache-imports': '{' }), /cache-imports/);
  assert.is(read({ hostname: 'h' }).buildArgs.get('BUILDKIT_SANDBOX_HOSTNAME'), 'h');
  const argument = { 'build-arg:BUILDKIT_SANDBOX_HOSTNAME': 'a' };
  assert.is(read({ hostname: 'h', ...argument }).buildArgs.get('BUILDKIT_SANDBOX_HOSTNAME'), 'a');
  assert.is(read({ memory: '1048576', 'cpu-quota': '-1' }).limits?.memory, 1 << 20);
  assert.is(read({}).limits, undefined);
  const archive = { context: 'https://example.com/a.tar', contextsubdir: 'sub' };
  assert.equal(read(archive).context, { ...remoteContext(archive.context), subdir: 'sub' });
  const layout = { 'context:l': `oci-layout:store@sha256:${'0'.repeat(64)}` };
  assert.is(read(layout).namedContexts.get('l')?.kind, 'oci-layout');
});

test('the built-in frontend is named in three ways, and says what it does not have', () => {
  const ask = (frontend: string, options: Record<string, string>) =>
    readFrontendOptions({ frontend, options, inputs: {} }, buildRequest({})).frontend;
  assert.is(ask('gateway.v0', { source: 'dockerfile.v0' }), 'dockerfile.v0');
  assert.is(ask('gateway.v0', { source: 'docker/dockerfile:1' }), 'dockerfile.v0');
  assert.is(ask('gateway.v0', { source: 'example.com/frontend' }), 'gateway.v0');
  ask('dockerfile.v0', { 'frontend.caps': 'moby.buildkit.frontend.inputs,x+forward' });
  assert.throws(
    () => ask('dockerfile.v0', { 'frontend.caps': 'x' }),
    /unsupported .* capability x/,
  );
});

test('provenance that a client does not describe is what BuildKit makes', () => {
  const of = (text: string) => read({ 'attest:provenance': text }).attest.provenance;
  assert.equal([of('')?.mode, of('')?.version], ['max', 'v0.2']);
  assert.equal([of('mode=min,version=v1')?.mode, of('version=v1')?.version], ['min', 'v1']);
  assert.is(of('mode=full')?.mode, 'max');
});

test.run();
