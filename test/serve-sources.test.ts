import {
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startRegistry } from '../registry/testing/registry.ts';
import { marshal, source, type Tree } from './graphs.ts';
import { KILN, type Rig, run } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

/** Solves graphs by `buildctl`, which lends directories, into directories of the rig. */
interface Client {
  readonly rig: Rig;
  /** Exports the tree to `dest`, and answers its progress. It must end with `expect`. */
  solve(tree: Tree, dest: string, args?: readonly string[], expect?: number): Promise<string>;
}

async function withClient(work: (client: Client) => Promise<void>): Promise<void> {
  await using serve = await ServeRig.create();
  const { rig } = serve;
  symlinkSync(KILN, rig.path('buildctl'));
  await work({
    rig,
    async solve(tree, dest, args = [], expect = 0) {
      const output = ['--progress=plain', '--output', `type=local,dest=${dest}`];
      const ran = await run([rig.path('buildctl'), 'build', ...output, ...args], {
        cwd: rig.directory,
        expect,
        stdin: marshal(tree),
        env: { BUILDKIT_HOST: `unix://${serve.socket}` },
      });
      return ran.stderr;
    },
  });
}

/** The paths of the stat messages in a file of metadata. */
function pathsIn(bytes: Buffer): string[] {
  const paths: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const message = bytes.subarray(at + 4, at + 4 + length);
    // The first field is the path, which is short.
    assert.is(message[0], 0x0a);
    paths.push(message.toString('utf8', 2, 2 + message[1]!));
    at += 4 + length;
  }
  return paths;
}

test('of a directory that is wanted as metadata, only what matches comes; all is told', () =>
  withClient(async ({ rig, solve }) => {
    const lent = rig.write('c', {
      data: 'contents',
      'dir/file1': 'file1',
      'dir/file2': 'file2',
      'dir/subdir/bar1': 'bar1',
      'dir/subdir/bar2': 'bar2',
      'dir/subdir2/bar3': 'bar3',
      foo: 'foo',
    });
    const tree = source('local://source', {
      'local.metadatatransfer': 'true',
      'local.metadatatransferexclude': JSON.stringify(['dir/**/*1', 'foo']),
    });
    const come = async (dest: string) => {
      await solve(tree, dest, ['--local', `source=${lent}`]);
      const all = readdirSync(rig.path(dest), { recursive: true, encoding: 'utf8' }).sort();
      const told = pathsIn(readFileSync(rig.path(dest, '.fsutil-metadata')));
      return { all: all.filter((path) => path !== '.fsutil-metadata'), told };
    };
    const first = await come('first');
    assert.equal(first.all, ['dir', 'dir/file1', 'dir/subdir', 'dir/subdir/bar1', 'foo']);
    assert.equal(first.told, [
      ...['data', 'dir', 'dir/file1', 'dir/file2', 'dir/subdir', 'dir/subdir/bar1'],
      ...['dir/subdir/bar2', 'dir/subdir2', 'dir/subdir2/bar3', 'foo'],
    ]);
    rmSync(`${lent}/dir/subdir`, { recursive: true });
    rig.write('c', { 'dir/file1': 'file1-updated', 'dir/bar1': 'bar1' });
    const second = await come('second');
    assert.equal(second.all, ['dir', 'dir/bar1', 'dir/file1', 'foo']);
    assert.is(readFileSync(rig.path('second/dir/file1'), 'utf8'), 'file1-updated');
    assert.is(second.told.length, 8);
    // Whoever wants the files gets them.
    await solve(source('local://source'), 'whole', ['--local', `source=${lent}`]);
    assert.is(readFileSync(rig.path('whole/data'), 'utf8'), 'contents');
    assert.not(existsSync(rig.path('whole/.fsutil-metadata')));
  }));

test('a graph says whether equal metadata means equal files', () =>
  withClient(async ({ rig, solve }) => {
    for (const [differ, expected] of [
      ['none', 'bar'],
      ['metadata', 'foo'],
      // Kiln looks.
      [undefined, 'bar'],
    ] as const) {
      const name = `l${differ}`;
      const time = new Date();
      const lent = rig.write(name, { f: 'foo' });
      utimesSync(`${lent}/f`, time, time);
      const tree = source(`local://${name}`, { ...(differ && { 'local.differ': differ }) });
      await solve(tree, `${name}-1`, ['--local', `${name}=${lent}`]);
      assert.is(readFileSync(rig.path(`${name}-1/f`), 'utf8'), 'foo');
      rig.write(name, { f: 'bar' });
      utimesSync(`${lent}/f`, time, time);
      await solve(tree, `${name}-2`, ['--local', `${name}=${lent}`]);
      assert.is(readFileSync(rig.path(`${name}-2/f`), 'utf8'), expected, differ ?? 'default');
    }
    const wrong = source('local://x', { 'local.differ': 'size' });
    assert.match(await solve(wrong, 'x', ['--local', 'x=lnone'], 1), /KILN_GRAPH_INVALID/);
  }));

/** The digest of the first layer of a manifest, and of its config. */
interface Manifest {
  readonly layers: readonly { readonly digest: string }[];
  readonly config: { readonly digest: string };
}

test('a blob of a registry or of a layout is a file with its bytes', () =>
  withClient(async ({ rig, solve }) => {
    await using registry = await startRegistry();
    const name = `${registry.host}/blobs:1`;
    const context = rig.write('c', { Dockerfile: 'FROM scratch\nCOPY f /\n', f: 'text' });
    const layout = rig.path('layout');
    const outputs = [
      '-o',
      `type=image,name=${name},push=true`,
      '-o',
      `type=oci,tar=false,dest=${layout}`,
    ];
    await rig.kiln(['build', ...outputs, context], { expect: 0 });
    const raw = await rig.kiln(['imagetools', 'inspect', '--raw', name], { expect: 0 });
    const { layers, config } = JSON.parse(raw.stdout) as Manifest;
    const hex = config.digest.slice('sha256:'.length);
    const expected = readFileSync(`${layout}/blobs/sha256/${hex}`);
    const repository = `${registry.host}/blobs`;
    const attrs = { 'http.filename': 'config.json', 'http.perm': '0644' };
    await solve(source(`docker-image+blob://${repository}@${config.digest}`, attrs), 'named');
    assert.equal(readFileSync(rig.path('named/config.json')), expected);
    assert.is(statSync(rig.path('named/config.json')).mode & 0o777, 0o644);
    assert.is(statSync(rig.path('named/config.json')).mtimeMs, 0);
    await solve(source(`docker-image+blob://${repository}@${layers[0]!.digest}`), 'plain');
    assert.equal(readdirSync(rig.path('plain')), [layers[0]!.digest.slice('sha256:'.length)]);
    const lent = ['--oci-layout', `store=${layout}`];
    const inStore = source(`oci-layout+blob://whatever/it@${config.digest}`, {
      'oci.store': 'store',
    });
    await solve(inStore, 'lent', lent);
    assert.equal(readFileSync(rig.path('lent', hex)), expected);
    // Nothing is asked for a second time.
    const before = (await registry.requests()).length;
    const again = source(`docker-image+blob://${repository}@${config.digest}`, attrs);
    await solve(again, 'again');
    assert.is((await registry.requests()).length, before);
    const gone = `sha256:${'0'.repeat(64)}`;
    const missing = await solve(source(`docker-image+blob://${repository}@${gone}`), 'x', [], 1);
    assert.match(missing, /KILN_BLOB_NOT_FOUND/);
    const other = source(`oci-layout+blob://other@${config.digest}`, { 'http.filename': 'o' });
    const noStore = await solve(other, 'x', lent, 1);
    assert.match(noStore, /the client/);
    const tagged = await solve(source(`docker-image+blob://${repository}:1`), 'x', [], 1);
    assert.match(tagged, /KILN_GRAPH_INVALID/);
  }));

test.run();
