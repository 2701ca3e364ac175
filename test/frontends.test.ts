import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TestGrpcClient } from '../api/grpc/test-client-fixture.ts';
import { Control } from '../api/proto/control.gen.ts';
import { ociContents } from './frontend/oci-contents.ts';
import PEER from './frontend/peer.json' with { type: 'json' };
import {
  cat,
  mountsBelow,
  processesWith,
  type Ran,
  type Rig,
  ROOT,
  type RunOptions,
} from './rig.ts';
import { ServeRig } from './serve-rig.ts';

const EXAMPLE = join(ROOT, 'examples/frontend');
const IMAGE = 'example/frontend';
const CAPS = 'moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts';

const serve = await ServeRig.create('busybox', 'node');
const { rig } = serve;
test.after(() => serve[Symbol.asyncDispose]());

// Both frontends, with the packages that `npm install` would bring.
cpSync(EXAMPLE, rig.path('f'), { recursive: true });
for (const name of ['pbf', 'yaml'])
  cpSync(join(ROOT, 'node_modules', name), rig.path('f/node_modules', name), { recursive: true });
await rig.build('f', '-t', 'example/yaml-frontend');
cpSync(join(ROOT, 'test/frontend/behaviours.ts'), rig.path('f/behaviours.ts'));
rig.write('f', {
  Behaviours: `
FROM example/yaml-frontend
COPY behaviours.ts .
LABEL moby.buildkit.frontend.caps=${CAPS}
ENTRYPOINT ["node", "/frontend/behaviours.ts"]
`,
});
await rig.build('f', '-f', 'f/Behaviours', '-t', IMAGE);

/** Builds a file whose frontend behaves like this. */
function build(behaviour: string, args: readonly string[] = [], options: RunOptions = {}) {
  rig.write('c', { Dockerfile: `# syntax=${IMAGE} ${behaviour}\nFROM busybox\n` });
  return rig.kiln(['build', '--progress=plain', ...args, 'c'], options);
}

/** Nothing of a frontend is left when its build has ended. */
function checkGone(where: Rig = rig): void {
  assert.equal(processesWith('/frontend/behaviours.ts'), []);
  assert.equal(mountsBelow(where.store), []);
}

async function failed(behaviour: string, ...said: readonly (string | RegExp)[]): Promise<Ran> {
  const ran = await build(behaviour, [], { expect: 1 });
  for (const text of said) assert.match(ran.stderr, text);
  assert.not.match(ran.stderr, 'bug in Kiln');
  checkGone();
  return ran;
}

test('the example builds YAML to what BuildKit makes, by kiln build and by buildx', async () => {
  const app = join(EXAMPLE, 'app');
  const file = join(app, 'build.yaml');
  const first = await rig.build(app, '-f', file, '-t', 'app');
  assert.match(first, /\[internal\] run frontend example\/yaml-frontend/);
  assert.is(await cat(rig, 'app', '/app/loud.txt'), 'HELLO\n');
  assert.is((await rig.kiln(['run', 'app'], { expect: 0 })).stdout, 'HELLO\n');
  const again = await rig.build(app, '-f', file, '-t', 'app');
  assert.match(again, /^#\d+ CACHED$/m);
  assert.not.match(again, /^#\d+ \/bin\/sh.*\n#\d+ DONE/m);
  await rig.build(app, '-f', file, '-o', 'type=oci,dest=kiln.tar');
  await serve.build(['-f', file, '--provenance=false', '-o', 'type=oci,dest=client.tar', app]);
  const output = ['-f', file, '--provenance=mode=max,version=v1', '-o'];
  await rig.build(app, ...output, 'said-kiln');
  await serve.build([...output, 'said-client', app]);
  for (const directory of ['said-kiln', 'said-client']) {
    const text = readFileSync(rig.path(directory, 'provenance.json'), 'utf8');
    const { externalParameters, resolvedDependencies } = JSON.parse(text).predicate.buildDefinition;
    const { frontend, args } = externalParameters.request;
    assert.equal([frontend, args.source], ['gateway.v0', 'example/yaml-frontend'], directory);
    assert.match(resolvedDependencies[0].uri, /^pkg:docker\/example\/yaml-frontend@latest/);
  }
  for (const archive of ['kiln.tar', 'client.tar'])
    assert.equal(ociContents(rig.path(archive)), PEER);
  await serve.build(['-f', file, '-o', 'out', app]);
  assert.is(readFileSync(rig.path('out/app/loud.txt'), 'utf8'), 'HELLO\n');
});

test('an image that BUILDKIT_SYNTAX names by digest is told the options', async () => {
  const progress = await rig.build('f', '-f', 'f/Behaviours', '-t', IMAGE);
  const digest = /exporting manifest (sha256:[0-9a-f]{64})/.exec(progress)?.[1];
  assert.ok(digest, progress);
  rig.write('c', { Dockerfile: 'FROM busybox\n' });
  const name = `${IMAGE}@${digest} and words`;
  await rig.build(
    'c',
    ...['--build-arg', `BUILDKIT_SYNTAX=${name}`, '--build-arg', 'A=b', '--label', 'l=v'],
    ...['--target', 'some', '--add-host', 'h:10.0.0.1', '--no-cache', '-t', 'told'],
    ...['--build-context', 'other=docker-image://busybox'],
  );
  const shown = await rig.kiln(['inspect', 'told'], { expect: 0 });
  const labels = JSON.stringify(JSON.parse(shown.stdout));
  for (const [option, value] of Object.entries({
    'build-arg:A': 'b',
    'label:l': 'v',
    target: 'some',
    'add-hosts': 'h=10.0.0.1',
    'no-cache': '',
    filename: 'Dockerfile',
    'context:other': 'docker-image://busybox',
    cmdline: name,
    source: `${IMAGE}@${digest}`,
  }))
    assert.ok(labels.includes(`${JSON.stringify(option)}:${JSON.stringify(value)}`), option);
});

test('a frontend is asked questions, by kiln build and by buildx', async () => {
  const asked = await build('', ['--call=outline'], { expect: 0 });
  assert.is(asked.stdout, 'text of frontend.outline\n');
  const json = await build('', ['--call=targets,format=json'], { expect: 0 });
  assert.equal(JSON.parse(json.stdout), { of: 'frontend.targets' });
  const outline = await serve.buildx(['build', '--call=outline,format=json', 'c']);
  assert.equal(JSON.parse(outline.stdout), { of: 'frontend.outline' });
});

test('a frontend without the capability is refused, with the line that names it', async () => {
  const app = join(EXAMPLE, 'app');
  const args = ['build', '-f', join(app, 'build.yaml'), app];
  const call = await rig.kiln([...args, '--call=outline'], { expect: 1 });
  assert.match(call.stderr, 'does not support questions (--call) [KILN_FRONTEND_UNSUPPORTED]');
  assert.match(call.stderr, />>> # syntax=example\/yaml-frontend/);
  const named = await rig.kiln([...args, '--build-context', 'a=c'], { expect: 1 });
  assert.match(named.stderr, 'does not support named contexts (--build-context)');
  const client = await serve.buildx([...args, '--build-context', 'a=c'], { expect: 1 });
  assert.match(client.stderr, /does not support named contexts|unsupported frontend capability/);
});

test('a frontend whose image cannot be had is named, with its line', async () => {
  rig.write('c', { Dockerfile: '# syntax=acme.invalid/custom-frontend:1\nFROM busybox\n' });
  const { stderr } = await rig.kiln(['build', '--progress=plain', 'c'], { expect: 1 });
  assert.match(stderr, /^ERROR: the frontend acme\.invalid\/custom-frontend:1 cannot be loaded: /m);
  assert.match(stderr, />>> # syntax=acme\.invalid\/custom-frontend:1/);
});

test('a frontend that ends or speaks wrongly is an error with its output', async () => {
  const crash = await failed('crash', 'ended with exit code 3', 'KILN_FRONTEND_FAILED');
  assert.match(crash.stderr, /the end of its output:\n.*cannot go on/);
  await failed('silent', 'ended with exit code 0 before it answered');
  await failed('garbage', 'does not speak gRPC over its standard input and output');
  await failed('config', 'KILN_FRONTEND_FAILED', 'architecture');
});

test('the error that a frontend returns is shown, for a step with its own message', async () => {
  await failed('error', 'line 7 is not to my taste [KILN_FRONTEND_FAILED]', '>>> # syntax=');
  await failed('step', /^#\d+ [\d.]+ told$/m, 'exit code: 9 [KILN_STEP_FAILED]');
  const client = await serve.build(['c'], { expect: 1 });
  assert.match(client, /exit code: 9/);
});

test('a frontend runs processes in containers, and none is left when it returns', async () => {
  const { stderr } = await build('container');
  assert.match(stderr, /from the container/);
  assert.match(stderr, /exit code: 5/);
  assert.equal(processesWith('sleep 6127'), []);
  checkGone();
});

test('forged graphs are refused one by one, and a forged result fails the build', async () => {
  const { stderr } = await failed('forged', 'KILN_FRONTEND_FAILED', 'no such ref');
  assert.not.match(stderr, 'TAKEN');
  assert.is(stderr.match(/^#\d+ [\d.]+ refused: /gm)?.length, 4, stderr);
});

test('a graph of a frontend cannot name a directory of the host as an OCI layout', async () => {
  await failed('layout', 'the build has no OCI layout with the name "/etc"');
});

test('a frontend has no network, and the error says how it gets some', async () => {
  await failed('network', 'ENETUNREACH', 'moby.buildkit.frontend.network.none=false');
});

test('a frontend asks the built-in one, and not itself for ever', async () => {
  await build('nested', ['-t', 'nested'], { expect: 0 });
  rig.write('c', {
    Dockerfile: `# syntax=${IMAGE} nested\nFROM busybox\nARG MORE\nRUN echo $MORE >/more\n`,
  });
  await rig.build('c', '-t', 'nested');
  assert.is(await cat(rig, 'nested', '/more'), 'more\n');
  await failed('itself', 'the 16th that was asked by another one');
});

test('gateway.v0 of a client names an image, and the built-in frontend by its name', async () => {
  using client = new TestGrpcClient(serve.socket);
  const solve = (ref: string, frontendAttrs: Record<string, string>) =>
    client.call(Control.method.solve, {
      ref,
      frontend: 'gateway.v0',
      frontendAttrs,
      exporters: [{ type: 'image', attrs: { name: ref } }],
    });
  const attrs = { 'build-arg:A': 'b', own: 'told' };
  await solve('gateway', { source: IMAGE, cmdline: `${IMAGE} `, ...attrs });
  const shown = await rig.kiln(['inspect', 'gateway'], { expect: 0 });
  assert.match(JSON.stringify(JSON.parse(shown.stdout)), '"own":"told"');
  const refused = await client.refused(solve('none', {}));
  assert.match(refused.message, 'gateway.v0 needs the option source');
  // It wants a Dockerfile, and this client lends none.
  const own = await client.refused(solve('own', { source: 'docker/dockerfile:1' }));
  assert.match(own.message, 'no directory "dockerfile" [KILN_CONTEXT_NOT_FOUND]');
});

test('a build that is cancelled ends a frontend that hangs', async () => {
  let killed = false;
  const ran = await build('hang', [], {
    watch: (output, kill) => {
      // A second signal would not wait for the end.
      if (!killed && /^#\d+ [\d.]+ waiting$/m.test(output)) kill('SIGINT');
      killed ||= output.includes('waiting');
    },
  });
  assert.is(ran.code, 130);
  checkGone();
});

test.run();
