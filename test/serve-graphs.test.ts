import { globSync } from 'node:fs';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import { type ServiceError, status } from '@grpc/grpc-js';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TestGrpcClient } from '../api/grpc/test-client-fixture.ts';
import { Control } from '../api/proto/control.gen.ts';
import { StatusSchema } from '../api/proto/rpc-status.gen.ts';
import { registryMissing, startRegistry, type TestRegistry } from '../registry/testing/registry.ts';
import { copy, diff, file, image, marshal, merge, mkfile, rm, run, type Tree } from './graphs.ts';
import { ROOT } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

/** A server, a registry that has busybox, and a client that sends graphs as Go programs do. */
interface Setting extends AsyncDisposable {
  readonly registry: TestRegistry;
  readonly client: TestGrpcClient;
  readonly busybox: () => ReturnType<typeof image>;
  solve(tree: Tree, more?: MessageInitShape<typeof Control.method.solve.input>): Promise<Answer>;
}
type Answer = Readonly<Record<string, string>>;

async function setting(): Promise<Setting> {
  const scope = new AsyncDisposableStack();
  const serve = scope.use(await ServeRig.create());
  const registry = scope.use(await startRegistry());
  const client = scope.use(new TestGrpcClient(serve.socket));
  const [archive] = globSync(`${ROOT}/.cache/test-images/busybox-*.oci.tar`);
  const name = `${registry.host}/library/busybox:latest`;
  const elsewhere = ['--root', serve.rig.path('elsewhere'), '--quiet'];
  await serve.rig.kiln(['copy', ...elsewhere, `oci-archive:${archive}`, name], { expect: 0 });
  let count = 0;
  return {
    registry,
    client,
    busybox: () => image(name),
    async solve(tree, more = {}) {
      const request = { ref: `graph${count++}`, definition: marshal(tree), ...more };
      return (await client.call(Control.method.solve, request)).exporterResponse;
    },
    [Symbol.asyncDispose]: () => scope.disposeAsync(),
  };
}

async function refused(answer: Promise<unknown>): Promise<ServiceError> {
  try {
    await answer;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error('the graph was solved');
}

/** The places that an error tells, each as `NAME:LINE`. */
function placesIn(error: ServiceError): string[] {
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  return fromBinary(StatusSchema, bytes as Buffer).details.flatMap(({ typeUrl, value }) => {
    if (!typeUrl.includes('errdefs.Source')) return [];
    const { info, ranges } = JSON.parse(Buffer.from(value).toString());
    return [`${info.filename}:${ranges[0].start.line}`];
  });
}

const push = (name: string) => ({ exporters: [{ type: 'image', attrs: { name, push: 'true' } }] });

const missing = registryMissing();
if (missing) console.error(`SKIPPED: ${missing}`);
else {
  test('a graph without ops is the empty tree, which has an image', async () => {
    await using at = await setting();
    const name = `${at.registry.host}/empty:1`;
    const answer = await at.solve(undefined, push(name));
    assert.is(answer['image.name'], name);
    assert.match(answer['containerimage.config.digest'] ?? '', /^sha256:/);
  });

  test('a graph says which digest an image has, and how many of its layers it takes', async () => {
    await using at = await setting();
    const name = `${at.registry.host}/layers:1`;
    const three = file(file(file(undefined, mkfile('/a', '')), mkfile('/b', '')), mkfile('/c', ''));
    const { 'containerimage.digest': digest = '' } = await at.solve(three, push(name));
    await at.solve(image(name, { 'image.checksum': digest }));
    const other = `sha256:${'0'.repeat(64)}`;
    const wrong = await refused(at.solve(image(name, { 'image.checksum': other })));
    const said = `image digest ${digest} for ${name} does not match expected checksum ${other}`;
    assert.ok(decodeURIComponent(wrong.details).includes(said), wrong.details);
    const lowest = image(name, { 'image.layerlimit': '2' });
    await at.solve(file(undefined, copy(lowest, '/b', '/')));
    const gone = await refused(at.solve(file(undefined, copy(lowest, '/c', '/'))));
    assert.match(decodeURIComponent(gone.details), /lstat \/c: no such file or directory/);
    const none = await refused(at.solve(image(name, { 'image.layerlimit': '0' })));
    assert.match(none.details, /invalid layer limit 0/);
  });

  test('a diff of trees that do not stand on each other leads from one to the other', async () => {
    await using at = await setting();
    const one = file(file(undefined, mkfile('/both', 'x')), mkfile('/one', '1'));
    const two = file(file(undefined, mkfile('/both', 'y')), mkfile('/two', '2'));
    const led = merge(one, diff(one, two));
    const check = 'set -e; test ! -e /m/one; test "$(cat /m/both /m/two)" = y2';
    await at.solve(
      run(at.busybox(), check, { mounts: { '/m': { from: led, readonly: true } } }).root,
    );
    const less = merge(one, diff(one, file(one, rm('/one'))));
    const left = 'test "$(ls /m)" = both';
    await at.solve(
      run(at.busybox(), left, { mounts: { '/m': { from: less, readonly: true } } }).root,
    );
  });

  test('a directory that was made anew in a diff hides nothing of another tree', async () => {
    await using at = await setting();
    const base = () => run(at.busybox(), 'mkdir /d; touch /d/old').root;
    const anew = run(base(), 'rm -r /d; mkdir /d; touch /d/new').root;
    const other = run(base(), 'touch /d/own').root;
    const led = merge(other, diff(base(), anew));
    const check = 'test "$(echo $(ls /m/d))" = "new own"';
    await at.solve(
      run(at.busybox(), check, { mounts: { '/m': { from: led, readonly: true } } }).root,
    );
  });

  test('the result in a mount comes out of a small cache after all is pruned', async () => {
    await using at = await setting();
    const ref = `${at.registry.host}/cache:1`;
    const made = () =>
      run(at.busybox(), 'head -c 100 /dev/urandom | sha256sum > /o/f', { mounts: { '/o': {} } }).at(
        '/o',
      );
    const entry = { type: 'registry', attrs: { ref } };
    const image1 = push(`${at.registry.host}/made:1`);
    const first = await at.solve(made(), { ...image1, cache: { exports: [entry] } });
    for await (const _gone of at.client.stream(Control.method.prune, { all: true }));
    const again = await at.solve(made(), { ...image1, cache: { imports: [entry] } });
    assert.is(again['containerimage.digest'], first['containerimage.digest']);
  });

  /** A tree that two mounts made: the root of a step is never a part of it. */
  const mounted = (at: Setting) => {
    const step = (command: string, from?: Tree) =>
      run(at.busybox(), command, { cwd: '/wd', mounts: { '/wd': { from } } }).at('/wd');
    return step('head -c 100 /dev/urandom | sha256sum >unique', step('echo -n foobar >const'));
  };
  const layersIn = async ({ registry }: Setting, path: string) => {
    const headers = { accept: 'application/vnd.oci.image.manifest.v1+json' };
    const manifest = await (await fetch(`http://${registry.host}/v2/${path}`, { headers })).json();
    return (manifest as { readonly layers: readonly { readonly mediaType: string }[] }).layers;
  };
  const pruned = async (at: Setting) => {
    for await (const _gone of at.client.stream(Control.method.prune, { all: true }));
  };

  test('an inline cache has the results of mounts that are layers of the image', async () => {
    await using at = await setting();
    const name = `${at.registry.host}/inline:1`;
    const inline = [{ type: 'inline' }];
    const imports = [{ type: 'registry', attrs: { ref: name } }];
    const layersOf = async ({ 'containerimage.digest': digest }: Answer) =>
      (await layersIn(at, `inline/manifests/${digest}`)).map((layer) =>
        layer.mediaType.replace(/^.*v1\./, ''),
      );
    const first = await at.solve(mounted(at), { ...push(name), cache: { exports: inline } });
    await pruned(at);
    const again = { ...push(name), cache: { exports: inline, imports } };
    const second = await at.solve(mounted(at), again);
    assert.is(second['containerimage.digest'], first['containerimage.digest']);
    await pruned(at);
    const plain = { name, push: 'true', compression: 'uncompressed', 'force-compression': 'true' };
    const exporters = [{ type: 'image', attrs: plain }];
    const third = await at.solve(mounted(at), { exporters, cache: { exports: inline, imports } });
    assert.equal(await layersOf(third), ['tar', 'tar']);
    await pruned(at);
    const gzip = { name, push: 'true', compression: 'gzip', 'force-compression': 'true' };
    const last = await at.solve(mounted(at), {
      exporters: [{ type: 'image', attrs: gzip }],
      cache: { exports: inline, imports },
    });
    assert.is(last['containerimage.digest'], first['containerimage.digest'], 'the same bytes');
    // What is not in the image is made again when it is needed.
    const root = run(at.busybox(), 'echo made >/root-file; echo x >/wd/x', {
      mounts: { '/wd': {} },
    });
    await at.solve(root.at('/wd'), { ...push(name), cache: { exports: inline } });
    await pruned(at);
    const check = run(root.root, 'test "$(cat /root-file)" = made').root;
    await at.solve(check, { cache: { imports } });
  });

  test('a small cache has no blob that the result does not have', async () => {
    await using at = await setting();
    const ref = `${at.registry.host}/small:1`;
    await at.solve(mounted(at), { cache: { exports: [{ type: 'registry', attrs: { ref } }] } });
    assert.is((await layersIn(at, 'small/manifests/1')).length, 2);
  });

  test('an error tells all places that a graph names, the last one first', async () => {
    await using at = await setting();
    const text = (name: string) => ({ name, text: 'x', told: { language: 'y' } });
    const place = (name: string, line: number) => ({
      source: text(name),
      start: { line, character: 0 },
      end: { line, character: 0 },
    });
    const locations = [place('foo', 7), place('bar', 8)];
    const failing = run(undefined, ['not-there'], { metadata: { locations } }).root;
    const error = await refused(at.solve(failing));
    assert.equal(placesIn(error), ['bar:8', 'foo:7']);
    assert.is(error.code, status.UNKNOWN);
  });
}

test.run();
