import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeImage } from '../registry/testing/images.ts';
import { publish } from '../registry/testing/publish.ts';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { KILN, ROOT, run } from './rig.ts';

test('the packed tarball installs globally and its kiln starts with the shipped Node', async () => {
  const prefix = mkdtempSync(join(tmpdir(), 'kiln-package-'));
  try {
    const said = install(pack(prefix), prefix);
    assert.match(said, /^added 3 packages/m, 'itself, Node, and the native part of koffi');
    assert.equal(warnings(said), []);
    const ran = await run([join(prefix, 'bin/kiln'), '--version'], {
      env: { PATH: '/usr/bin:/bin' },
      expect: 0,
    });
    assert.match(ran.stdout, /^kiln version \d+\.\d+\.\d+\n$/);
    assert.match(readFileSync(join(prefix, 'share/man/man1/kiln.1'), 'utf8'), /^\.TH KILN 1 /m);
    const installed = (name: string) => join(prefix, 'lib/node_modules/kiln', name);
    for (const name of ['getting-started.md', 'reference/build.md', 'rules/README.md'])
      assert.ok(existsSync(installed(`docs/${name}`)), name);
    for (const unit of ['kiln.socket', 'kiln.service'])
      assert.ok(existsSync(installed(`systemd/${unit}`)), unit);
    for (const name of ['moo', 'nearley', 'lru-cache', 'p-queue', 'tar-stream', 'undici'])
      assert.match(readFileSync(installed('dist/LICENCES'), 'utf8'), `\n${name} `);
    const completion = await run([join(prefix, 'bin/kiln'), 'completion', 'bash'], { expect: 0 });
    assert.match(completion.stdout, /^complete -F _kiln kiln$/m);
    const node = await run([join(prefix, 'bin/kiln'), 'doctor'], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    });
    assert.match(node.stdout, /node +24\./);
    const library = join(prefix, 'lib/node_modules/kiln/dist/library.cjs');
    const loaded = await run([process.execPath, '-p', `typeof require('${library}').build`]);
    assert.is(loaded.stdout, 'function\n');
  } finally {
    rmSync(prefix, { recursive: true, force: true });
  }
});

/** Packs the package, and returns the tarball's path. */
function pack(into: string): string {
  execFileSync('npm', ['pack', '--silent', '--pack-destination', into], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return join(into, readdirSync(into).find((name) => name.endsWith('.tgz')) ?? '');
}

/** Installs a tarball as a user does, and returns all that npm says. */
function install(tarball: string, prefix: string, npm: readonly string[] = ['npm']): string {
  const [program = '', ...args] = npm;
  const { status, stdout, stderr } = spawnSync(
    program,
    [...args, 'install', '--global', '--loglevel=notice', '--prefix', prefix, tarball],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
  );
  assert.is(status, 0, stderr);
  return stdout + stderr;
}

/** The warnings of npm, without those of this machine's configuration of npm. */
const warnings = (said: string) =>
  said.split('\n').filter((line) => /warn/i.test(line) && !/ config | npm itself/.test(line));

if (process.env.KILN_SOAK)
  for (const [node, npm] of [
    [18, 10],
    [20, 10],
    [22, 11],
    [24, 11],
  ])
    test(`Node ${node} and npm ${npm} install the package without a warning`, async () => {
      const place = mkdtempSync(join(tmpdir(), 'kiln-nodes-'));
      try {
        const from = join(place, 'from');
        mkdirSync(from);
        const packages = [`node-linux-${process.arch}@${node}`, `npm@${npm}`];
        execFileSync('npm', ['install', '--silent', '--prefix', from, ...packages]);
        const program = join(from, `node_modules/node-linux-${process.arch}/bin/node`);
        const prefix = join(place, 'prefix');
        mkdirSync(prefix);
        const said = install(pack(place), prefix, [
          program,
          join(from, 'node_modules/npm/bin/npm-cli.js'),
        ]);
        assert.equal(warnings(said), []);
        await run([join(prefix, 'bin/kiln'), '--version'], {
          env: { PATH: `${join(program, '..')}:/usr/bin:/bin` },
          expect: 0,
        });
      } finally {
        rmSync(place, { recursive: true, force: true });
      }
    });

test('the launcher works through a symlink', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-link-'));
  try {
    symlinkSync(KILN, join(directory, 'k'));
    await run([join(directory, 'k'), '--version'], { cwd: '/', expect: 0 });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('compiled code is kept from the first build on, and a damaged copy does no harm', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-compiled-'));
  try {
    const at = (...names: string[]) => join(directory, ...names);
    for (const made of ['dist', 'context']) mkdirSync(at(made));
    for (const name of [
      'kiln',
      ...['kiln', 'main', 'memo', 'memo-keep', 'registry', 'rest', 'undici', 'worker'].map(
        (part) => `dist/${part}.cjs`,
      ),
    ])
      copyFileSync(join(ROOT, name), at(name));
    symlinkSync(join(ROOT, 'node_modules'), at('node_modules'));
    const kept = () => readdirSync(at('dist')).filter((name) => !name.endsWith('.cjs'));
    const kiln = (dockerfile: string, expect: number) => {
      writeFileSync(at('context/Dockerfile'), dockerfile);
      return run([at('kiln'), 'build', at('context')], {
        env: { KILN_ROOT: at('store'), KILN_MEMO: 'off' },
        expect,
      });
    };
    await kiln('FROM scratch\nCOPY gone /\n', 1);
    await run([at('kiln'), 'build', '--help'], { expect: 0 });
    const build = () => kiln('FROM scratch\nCOPY . /\n', 0);
    await build();
    const names = kept();
    const parts = ['main', 'rest'];
    assert.equal(names.map((name) => name.replace(/-[0-9a-f]{16}-v.*\.cache$/, '')).sort(), parts);
    const all = () => names.map((name) => readFileSync(at('dist', name)));
    const whole = all();
    await build();
    assert.equal(all(), whole, 'taken, not made again');
    for (const name of names) writeFileSync(at('dist', name), 'no code');
    await run([at('kiln'), 'build', '--no-cache', at('context')], {
      env: { KILN_ROOT: at('store'), KILN_MEMO: 'off' },
      expect: 0,
    });
    for (const code of all()) assert.ok(code.length > 10_000, 'made again');
    assert.equal(kept(), names);
    const unchanged = () =>
      kiln('FROM scratch AS made\nWORKDIR /made\nFROM scratch\nCOPY --from=made / /\n', 0);
    await unchanged();
    for (const name of kept()) rmSync(at('dist', name));
    await unchanged();
    assert.equal(kept().length, 1, 'a build that finds everything cached needs one file');
    const ofCached = readFileSync(at('dist', kept()[0]!));
    await kiln('FROM scratch\nCOPY . /more\n', 0);
    assert.equal(kept(), names);
    assert.not.equal(all()[0], ofCached, 'made again by a build that needed more modules');
    await build();
    const ofAll = all();
    await kiln('FROM scratch\nCOPY . /still\n', 0);
    assert.equal(all(), ofAll, 'not by one that needed less or the same');
    rmSync(at('dist/rest.cjs'));
    await unchanged();
    await run([at('kiln'), '--version'], {
      env: { KILN_ROOT: at('store'), KILN_MEMO: 'off' },
      expect: 0,
    });
    const damaged = await run([at('kiln'), 'images'], {
      env: { KILN_ROOT: at('store'), KILN_MEMO: 'off' },
      expect: 1,
    });
    assert.match(damaged.stderr, /the installation is damaged: .*rest\.cjs cannot be read: ENOENT/);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

const noRegistry = registryMissing();
if (noRegistry) console.log(`SKIP a cached build on a base in a registry: ${noRegistry}`);
else
  test('a cached build on a base in a registry needs two files of the bundle', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kiln-asking-'));
    await using registry = await startRegistry();
    try {
      const at = (...names: string[]) => join(directory, ...names);
      cpSync(join(ROOT, 'dist'), at('dist'), { recursive: true });
      copyFileSync(KILN, at('kiln'));
      symlinkSync(join(ROOT, 'node_modules'), at('node_modules'));
      const image = makeImage([{ name: 'hello', text: 'hello' }]);
      mkdirSync(at('context'));
      writeFileSync(
        at('context/Dockerfile'),
        `FROM ${await publish(registry.host, 'base', '1', [image])}\nWORKDIR /made\n`,
      );
      const build = () =>
        run([at('kiln'), 'build', at('context')], {
          env: { KILN_ROOT: at('store') },
          expect: 0,
        });
      await build();
      for (const file of ['rest', 'api', 'undici', 'worker', 'library', 'yaml'])
        rmSync(at(`dist/${file}.cjs`));
      await build();
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

const old = ['/usr/bin/node', '/usr/local/bin/node'].find(
  (path) =>
    existsSync(path) &&
    /^v(1\d|20)\./.test(execFileSync(path, ['--version'], { encoding: 'utf8' })),
);
if (!old)
  console.log(
    'SKIP an old Node is refused with a sentence: this machine has no Node older than 22',
  );
else {
  test('an old Node is refused with a message', async () => {
    const ran = await run([KILN, '--version'], { env: { KILN_NODE: old } });
    assert.is(ran.code, 1);
    assert.match(ran.stderr, /^kiln: Node \d+\.\d+\.\d+ is too old: Kiln needs 22\.19 or later\./);
    assert.not.match(ran.stderr, /\n {4}at /);
  });
}

test.run();
