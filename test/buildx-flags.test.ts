import {
  existsSync,
  globSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { registryMissing, startRegistry, type TestRegistry } from '../registry/testing/registry.ts';
import { loadingEngine } from './loading-engine.ts';
import { type Rig, type RunOptions, run, steps } from './rig.ts';
import { ServeRig } from './serve-rig.ts';
import { hostPrograms } from './sshd.ts';

/*
 * Every flag that the help of `docker buildx build` names, against `kiln serve`: what each does is
 * asserted here, or why it is not. A flag that a newer buildx has fails the first test.
 */

interface Setting {
  readonly serve: ServeRig;
  readonly rig: Rig;
  /** Runs `docker buildx build` with plain progress. Returns the progress. */
  readonly build: (args: readonly string[], options?: RunOptions) => Promise<string>;
  /** The same for a Dockerfile on standard input, with the context `c`. */
  readonly piped: (
    dockerfile: string,
    args: readonly string[],
    options?: RunOptions,
  ) => Promise<string>;
}

/** Flags without a test, each with the reason. */
const UNTESTED: Readonly<Record<string, string>> = {
  '--help': 'prints the text that is read here',
  '--debug': 'adds messages of buildx itself',
};

const json = (rig: Rig, file: string) => JSON.parse(readFileSync(rig.path(file), 'utf8'));
const says = (told: string, line: string) =>
  assert.match(told, new RegExp(`^#\\d+ [\\d.]+ ${line}$`, 'm'));
const endOf = (told: string, step: string) =>
  [...steps(told)].find(([name]) => name.includes(step))?.[1];

/** The index of an OCI archive, and what its entry names. */
async function inArchive(rig: Rig, file: string) {
  const read = async (path: string) =>
    JSON.parse((await run(['tar', '-xOf', rig.path(file), path], { expect: 0 })).stdout);
  const [target] = (await read('index.json')).manifests;
  return { target, inner: await read(`blobs/${target.digest.replace(':', '/')}`), read };
}

const LAYERS = `
FROM busybox AS first
RUN echo one >/one
FROM first AS second
RUN echo two >/two
`;

const FLAGS: Readonly<Record<string, (t: Setting) => Promise<void>>> = {
  async '--add-host'({ piped }) {
    const hosts = ['--add-host', 'db:10.1.2.3', '--add-host', 'six:2001:db8::1'];
    const told = await piped('FROM busybox\nRUN cat /etc/hosts\n', hosts);
    says(told, '10.1.2.3\tdb');
    says(told, '2001:db8::1\tsix');
  },

  async '--allow'({ piped }) {
    const dockerfile = 'FROM busybox\nRUN --security=insecure grep CapEff /proc/self/status\n';
    const refused = await piped(dockerfile, [], { expect: 1 });
    assert.match(refused, /security.insecure/);
    const told = await piped(dockerfile, ['--allow', 'security.insecure']);
    // CAP_SYS_ADMIN is number 21.
    const bits = /CapEff:\t([0-9a-f]+)$/m.exec(told)?.[1];
    assert.is((BigInt(`0x${bits}`) >> 21n) & 1n, 1n, told);
  },

  async '--annotation'({ rig, build }) {
    const annotations = ['index,manifest:org.example.a=b', 'manifest-descriptor:org.example.c=d'];
    const flags = annotations.flatMap((text) => ['--annotation', text]);
    await build([...flags, '-o', 'type=oci,dest=annotated.tar', '-o', 'type=tar,dest=t.tar', 'c']);
    const { inner, read } = await inArchive(rig, 'annotated.tar');
    assert.equal(inner.annotations, { 'org.example.a': 'b' });
    const [first] = inner.manifests;
    assert.equal(first.annotations, { 'org.example.c': 'd' });
    const manifest = await read(`blobs/${first.digest.replace(':', '/')}`);
    assert.equal(manifest.annotations, { 'org.example.a': 'b' });
  },

  async '--attest'({ rig, build }) {
    const attest = ['--attest', 'type=sbom', '--attest', 'type=provenance,mode=max'];
    await build([...attest, '-o', 'attested', 'c']);
    assert.is(json(rig, 'attested/sbom.spdx.json').predicate.spdxVersion, 'SPDX-2.3');
    assert.match(json(rig, 'attested/provenance.json').predicateType, /slsa/);
  },

  async '--build-arg'({ piped }) {
    const dockerfile = 'FROM busybox\nARG A\nARG B\nRUN echo "$A and $B"\n';
    const args = ['--build-arg', 'A=one, two', '--build-arg', 'B'];
    says(
      await piped(dockerfile, args, { env: { B: 'of the shell' } }),
      'one, two and of the shell',
    );
  },

  async '--build-context'({ rig, piped }) {
    rig.write('named', { f: 'named\n' });
    const told = await piped('FROM base\nCOPY --from=dir f /\nRUN cat /f\n', [
      '--build-context',
      'dir=named',
      '--build-context',
      'base=docker-image://busybox',
    ]);
    says(told, 'named');
  },

  '--builder': async ({ serve }) => {
    const env = { BUILDX_BUILDER: 'nobody' };
    await serve.build(['--builder', 'k', 'c'], { env });
    assert.match(await serve.build(['c'], { env, expect: 1 }), 'no builder "nobody" found');
  },

  '--cache-from': caches,
  '--cache-to': caches,

  async '--call'({ serve, rig }) {
    rig.write('call', { Dockerfile: '# what it is\nFROM busybox AS named\nARG WORD=given\n' });
    const call = async (method: string) =>
      JSON.parse((await serve.buildx(['build', `--call=${method},format=json`, 'call'])).stdout);
    assert.equal(
      (await call('outline')).args.map(({ name, value }: Record<string, string>) => [name, value]),
      [['WORD', 'given']],
    );
    assert.is((await call('targets')).targets[0].name, 'named');
    assert.is((await call('check')).warnings, null);
    const described = await serve.buildx(['build', '--call=subrequests.describe', 'call']);
    assert.match(described.stdout, /^outline\s/m);
  },

  async '--cgroup-parent'({ piped }) {
    if (readdirSync('/sys/fs/cgroup').length === 0)
      return console.log('SKIP the parent of control groups: this host has none');
    const parent = `kiln-test-${process.pid}`;
    const mark = `sleep 36${process.pid}`;
    let groups = '';
    await piped(`FROM busybox\nRUN echo up; ${mark}\n`, ['--cgroup-parent', parent], {
      expect: undefined,
      watch(output, kill) {
        if (groups !== '' || !/^#\d+ [\d.]+ up$/m.test(output)) return;
        groups = groupsOf(mark);
        kill('SIGTERM');
      },
    });
    assert.match(groups, `/${parent}/`);
    for (const directory of globSync(`/sys/fs/cgroup/{,*/}${parent}`)) rmdirSync(directory);
  },

  async '--check'({ serve }) {
    const check = ['build', '--check', '-f', '-', 'c'];
    const checked = await serve.buildx(check, { stdin: 'FROM scratch\ncopy f /\n', expect: 1 });
    assert.match(checked.stdout, 'ConsistentInstructionCasing');
    await serve.buildx(check, { stdin: 'FROM scratch\nCOPY f /\n' });
  },

  async '--file'({ rig, build }) {
    rig.write('elsewhere', { Other: 'FROM busybox\nRUN echo other\n' });
    says(await build(['--file', 'elsewhere/Other', 'c']), 'other');
  },

  async '--iidfile'({ rig, build }) {
    await build(['--iidfile', 'id', '--metadata-file', 'm.json', '-o', 'type=image', 'c']);
    const id = readFileSync(rig.path('id'), 'utf8');
    assert.match(id, /^sha256:[0-9a-f]{64}$/);
    assert.is(id, json(rig, 'm.json')['containerimage.digest']);
  },

  async '--label'({ rig, build }) {
    await build(['--label', 'a.b=c d', '-t', 'labelled', '-o', 'type=image', 'c']);
    const format = '{{index .Config.Labels "a.b"}}';
    const shown = await rig.kiln(['inspect', '--format', format, 'labelled'], { expect: 0 });
    assert.is(shown.stdout, 'c d\n');
  },

  async '--load'({ rig, build }) {
    const load = (path: string, options?: RunOptions) =>
      build(['--load', '-t', 'loaded:1', 'c'], {
        ...options,
        env: { DOCKER_HOST: `unix://${path}` },
      });
    for (const hasContainerd of [false, true]) {
      const path = rig.path(`engine${hasContainerd ? 1 : 0}.sock`);
      await using engine = await loadingEngine(path, hasContainerd);
      await load(path);
      rig.write('.', { 'loaded.tar': engine.loaded[0]! });
      const list = await run(['tar', '-tf', rig.path('loaded.tar')], { expect: 0 });
      assert.is(/^manifest\.json$/m.test(list.stdout), !hasContainerd);
      await rig.kiln(['load', '-q', '-i', 'loaded.tar'], { expect: 0 });
      await rig.kiln(['rmi', 'loaded:1'], { expect: 0 });
    }
    const failed = await load(rig.path('no-engine.sock'), { expect: 1 });
    assert.match(failed, 'the client did not take the output of type=docker');
    assert.match(failed, 'with --load, the client needs a Docker engine');
    assert.not.match(failed, 'attestations');
  },

  async '--metadata-file'({ rig, build }) {
    await build(['--metadata-file', 'meta.json', '-t', 'meta:1', '-o', 'type=image', 'c']);
    const meta = json(rig, 'meta.json');
    assert.is(meta['image.name'], 'docker.io/library/meta:1');
    assert.is(meta['containerimage.descriptor'].digest, meta['containerimage.digest']);
    assert.match(meta['buildx.build.ref'], /^k\/k0\//);
    assert.match(meta['buildx.build.provenance'].buildType, /buildkit/);
  },

  async '--network'({ piped }) {
    const dockerfile = 'FROM busybox\nRUN echo "has:" $(ls /sys/class/net)\n';
    says(await piped(dockerfile, ['--network', 'none']), 'has: lo');
    const own = 'FROM busybox\nRUN readlink /proc/self/ns/net\n';
    const host = readlinkSync('/proc/self/ns/net').replace(/[[\]]/g, '\\$&');
    says(await piped(own, ['--network', 'host']), host);
    assert.not.match(await piped(own, []), new RegExp(`${host}$`, 'm'));
    const refused = await piped(dockerfile, ['--network', 'bridge'], { expect: 1 });
    assert.match(refused, 'network mode "bridge" not supported');
  },

  async '--no-cache'({ piped }) {
    await piped(LAYERS, []);
    assert.is(endOf(await piped(LAYERS, []), 'RUN echo one'), 'CACHED');
    assert.is(endOf(await piped(LAYERS, ['--no-cache']), 'RUN echo one'), 'DONE');
  },

  async '--no-cache-filter'({ piped }) {
    await piped(LAYERS, []);
    const told = await piped(LAYERS, ['--no-cache-filter', 'second']);
    assert.is(endOf(told, 'RUN echo one'), 'CACHED');
    assert.is(endOf(told, 'RUN echo two'), 'DONE');
  },

  async '--output'({ rig, build, serve }) {
    const [local, tar] = ['type=local,dest=both', 'type=tar,dest=both.tar'];
    await build(['-o', local, '--output', tar, '-o', 'type=image,name=both', 'c']);
    assert.is(readFileSync(rig.path('both/f'), 'utf8'), 'file\n');
    // Provenance that nobody asked for is in images only.
    assert.equal(readdirSync(rig.path('both')), ['f']);
    const list = await run(['tar', '-tf', rig.path('both.tar')], { expect: 0 });
    assert.is(list.stdout, 'f\n');
    await rig.kiln(['inspect', 'both'], { expect: 0 });
    const piped = await serve.buildx(['build', '-o', 'type=tar,dest=-', 'c']);
    assert.match(piped.stdout, /^f\0/);
  },

  async '--platform'({ rig, piped }) {
    const platforms = ['--platform', 'linux/amd64,linux/arm/v7'];
    const dockerfile = 'FROM scratch\nARG TARGETPLATFORM\nLABEL for=$TARGETPLATFORM\n';
    await piped(dockerfile, [...platforms, '--provenance=false', '-o', 'type=oci,dest=p.tar']);
    const { inner, read } = await inArchive(rig, 'p.tar');
    for (const [at, label] of ['linux/amd64', 'linux/arm/v7'].entries()) {
      const { digest, platform } = inner.manifests[at];
      const manifest = await read(`blobs/${digest.replace(':', '/')}`);
      const config = await read(`blobs/${manifest.config.digest.replace(':', '/')}`);
      assert.is(config.config.Labels.for, label);
      assert.is(config.architecture, platform.architecture);
    }
  },

  async '--progress'({ serve }) {
    const told = async (mode: string) =>
      (await serve.buildx(['build', `--progress=${mode}`, '-o', 'type=image', 'c'])).stderr;
    assert.match(await told('plain'), /^#\d+ exporting to image$/m);
    assert.match(await told('auto'), /^#\d+ exporting to image$/m);
    assert.is(await told('none'), '');
    const events = (await told('rawjson')).trim().split('\n');
    const vertexes = events.flatMap((line) => JSON.parse(line).vertexes ?? []);
    assert.ok(vertexes.some(({ name }) => name === 'exporting to image'));
    const quiet = await serve.buildx(['build', '--progress=quiet', '-o', 'type=image', 'c']);
    assert.match(quiet.stdout, /^sha256:[0-9a-f]{64}\n$/);
    const shown = await serve.onTerminal(['build', '--progress=tty', 'c'], []);
    assert.match(shown, /FINISHED/);
  },

  async '--provenance'({ rig, build }) {
    const to = (file: string) => ['-o', `type=oci,dest=${file}`];
    await build([...to('none.tar'), '--provenance=false', 'c']);
    assert.ok('layers' in (await inArchive(rig, 'none.tar')).inner);
    await build([...to('max.tar'), '--provenance=mode=max', '--build-arg', 'A=shown', 'c']);
    const { inner, read } = await inArchive(rig, 'max.tar');
    const about = await read(`blobs/${inner.manifests[1].digest.replace(':', '/')}`);
    const statement = await read(`blobs/${about.layers[0].digest.replace(':', '/')}`);
    assert.match(JSON.stringify(statement), '"build-arg:A":"shown"');
  },

  async '--pull'({ rig, piped }) {
    // At this address there is no registry.
    await rig.kiln(['tag', 'busybox', '127.0.0.1:9/base:1'], { expect: 0 });
    const dockerfile = 'FROM 127.0.0.1:9/base:1\nRUN echo local\n';
    says(await piped(dockerfile, []), 'local');
    const failed = await piped(dockerfile, ['--pull'], { expect: 1 });
    assert.match(failed, 'cannot reach registry 127.0.0.1:9');
  },

  async '--quiet'({ serve, rig }) {
    const ran = await serve.buildx(['build', '-q', '-t', 'silent', '-o', 'type=image', 'c']);
    assert.match(ran.stdout, /^sha256:[0-9a-f]{64}\n$/);
    assert.is(ran.stderr, '');
    await rig.kiln(['inspect', 'silent'], { expect: 0 });
  },

  async '--sbom'({ rig, build }) {
    await build(['--sbom=true', '-o', 'sbom', 'c']);
    assert.is(json(rig, 'sbom/sbom.spdx.json').predicateType, 'https://spdx.dev/Document');
  },

  async '--secret'({ rig, piped }) {
    rig.write('.', { secret: 'of a file' });
    const told = await piped(
      'FROM busybox\nRUN --mount=type=secret,id=a --mount=type=secret,id=b,env=B ' +
        'echo "$(cat /run/secrets/a), $B"\n',
      ['--secret', 'id=a,src=secret', '--secret', 'id=b,env=OF_SHELL'],
      { env: { OF_SHELL: 'of the shell' } },
    );
    says(told, 'of a file, of the shell');
  },

  async '--shm-size'({ piped }) {
    const told = await piped('FROM busybox\nRUN grep shm /proc/mounts\n', ['--shm-size', '12m']);
    assert.match(told, 'size=12288k');
  },

  async '--ssh'({ rig, piped }) {
    hostPrograms(rig.path('tools'), '/usr/bin/ssh-add');
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', rig.path('key')], {
      expect: 0,
    });
    const told = await piped(
      'FROM busybox\nENV PATH=/host/bin:$PATH\n' +
        'RUN --mount=from=tools,target=/host --mount=type=ssh,id=named ssh-add -L\n',
      ['--ssh', 'named=key', '--build-context', 'tools=tools'],
    );
    const [type, key] = readFileSync(rig.path('key.pub'), 'utf8').split(' ');
    assert.match(told, `${type} ${key}`);
  },

  async '--tag'({ rig, build }) {
    await build(['-t', 'tagged:1', '--tag', 'example.com/tagged:2', '-o', 'type=image', 'c']);
    for (const name of ['tagged:1', 'example.com/tagged:2'])
      await rig.kiln(['inspect', name], { expect: 0 });
  },

  async '--target'({ piped }) {
    const told = await piped(LAYERS, ['--target', 'first']);
    assert.is(endOf(told, 'RUN echo two'), undefined);
    const wrong = await piped(LAYERS, ['--target', 'third'], { expect: 1 });
    assert.match(wrong, 'third');
  },

  async '--ulimit'({ piped }) {
    const dockerfile = 'FROM busybox\nRUN echo "$(ulimit -Sn) of $(ulimit -Hn)"\n';
    says(await piped(dockerfile, ['--ulimit', 'nofile=100:200']), '100 of 200');
  },
};

/** The flags that need a registry. */
const WITH_REGISTRY: Readonly<Record<string, (t: Setting, at: TestRegistry) => Promise<void>>> = {
  async '--push'({ serve, rig, build }, { host }) {
    const name = `${host}/pushed:1`;
    await build(['--push', '-t', name, '--iidfile', 'pushed', 'c']);
    const shown = await serve.buildx([
      'imagetools',
      'inspect',
      '--format',
      '{{json .Manifest}}',
      name,
    ]);
    assert.is(JSON.parse(shown.stdout).digest, readFileSync(rig.path('pushed'), 'utf8'));
  },
};

/** Caches in a directory: what was written there is found when the store has nothing any more. */
async function caches({ serve, rig, piped }: Setting): Promise<void> {
  const cache = rig.path('cache');
  rmSync(cache, { recursive: true, force: true });
  const dockerfile = 'FROM busybox\nRUN echo cached >/cached\nRUN cat /cached\n';
  await piped(dockerfile, ['--cache-to', `type=local,dest=${cache},mode=max`]);
  assert.ok(existsSync(`${cache}/index.json`));
  await serve.buildx(['prune', '--all', '--force']);
  const told = await piped(dockerfile, ['--cache-from', `type=local,src=${cache}`]);
  assert.match(told, `importing cache manifest from ${cache}\n`);
  assert.is(endOf(told, 'RUN echo cached'), 'CACHED', told);
  assert.is(endOf(told, 'RUN cat'), 'CACHED', told);
}

/** The control groups of the process whose command line is `command`, as the host sees them. */
function groupsOf(command: string): string {
  for (const file of globSync('/proc/[0-9]*/cmdline')) {
    try {
      if (readFileSync(file, 'utf8').replaceAll('\0', ' ').trim() === command)
        return readFileSync(file.replace('cmdline', 'cgroup'), 'utf8');
    } catch {
      // The process has ended meanwhile.
    }
  }
  return `no process ${command}`;
}

let setting: Promise<Setting> | undefined;

/** One server for all tests. Its store is what a developer's is after a while. */
const shared = () => (setting ??= opened());
test.after(async () => await (await setting)?.serve[Symbol.asyncDispose]());

async function opened(): Promise<Setting> {
  const allowed = 'network.host,security.insecure';
  const serve = await ServeRig.with(['--allow-insecure-entitlement', allowed], 'busybox');
  serve.rig.write('c', { Dockerfile: 'FROM scratch\nARG A\nCOPY f /\n', f: 'file\n' });
  const build: Setting['build'] = (args, options) => serve.build(args, options);
  return {
    serve,
    rig: serve.rig,
    build,
    piped: (stdin, args, options) => build([...args, '-f', '-', 'c'], { stdin, ...options }),
  };
}

test('each flag of the help of docker buildx build is tested, or has a reason', async () => {
  const { serve } = await shared();
  const { stdout } = await serve.buildx(['build', '--help']);
  const inHelp = [...stdout.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag = '']) => flag);
  assert.ok(inHelp.length > 35, stdout);
  const known = [UNTESTED, FLAGS, WITH_REGISTRY].flatMap((flags) => Object.keys(flags));
  assert.equal(inHelp.toSorted(), known.toSorted());
});

for (const [flag, exercise] of Object.entries(FLAGS))
  test(`docker buildx build ${flag}`, async () => exercise(await shared()));

const missing = registryMissing();
for (const [flag, exercise] of Object.entries(WITH_REGISTRY))
  if (missing) console.log(`SKIP docker buildx build ${flag}: ${missing}`);
  else
    test(`docker buildx build ${flag}`, async () => {
      await using registry = await startRegistry();
      await exercise(await shared(), registry);
    });

test.run();
