import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { makeTree, shell, whyNot } from '../fixture.ts';
import { createExecutor } from '../runtime-executor.ts';
import { findDevices } from './cdi.ts';

const test = suite('cdi');
const directory = mkdtempSync(join(tmpdir(), 'kiln-cdi-'));
const [etc, run] = [join(directory, 'etc'), join(directory, 'run')];
test.before(() => {
  for (const path of [etc, run]) mkdirSync(path);
});
test.after(() => rmSync(directory, { recursive: true, force: true }));

const find = (...names: string[]) =>
  findDevices(
    names.map((name) => ({ name: name.replace('?', ''), optional: name.endsWith('?') })),
    [etc, run],
  );

async function codeOf(action: Promise<unknown>): Promise<string> {
  try {
    await action;
  } catch (error) {
    if (error instanceof KilnError) return `${error.code} ${error.message} ${error.hint ?? ''}`;
    throw error;
  }
  return 'nothing thrown';
}

const GPU = {
  cdiVersion: '0.6.0',
  kind: 'vendor.com/gpu',
  containerEdits: { env: ['SHARED=1'] },
  devices: [
    {
      name: '0',
      containerEdits: {
        env: ['GPU=0'],
        deviceNodes: [{ path: '/dev/gpu0', hostPath: '/dev/null' }],
      },
    },
    {
      name: '1',
      annotations: { 'org.mobyproject.buildkit.device.class': 'fast' },
      containerEdits: { env: ['GPU=1'] },
    },
  ],
};

test('devices are found by name, by kind, by wildcard and by class', async () => {
  writeFileSync(join(etc, 'gpu.json'), JSON.stringify(GPU));
  const envs = async (...names: string[]) => (await find(...names)).flatMap(({ env }) => env);
  assert.equal(await envs('vendor.com/gpu=0'), ['SHARED=1', 'GPU=0']);
  assert.equal(await envs('vendor.com/gpu'), ['SHARED=1', 'GPU=0']);
  assert.equal(await envs('vendor.com/gpu=*'), ['SHARED=1', 'GPU=0', 'GPU=1']);
  assert.equal(await envs('vendor.com/gpu=fast'), ['SHARED=1', 'GPU=1']);
  assert.equal(await envs('vendor.com/gpu=0', 'vendor.com/gpu=0'), ['SHARED=1', 'GPU=0']);
  assert.equal((await find('vendor.com/gpu=0'))[1]?.nodes[0], {
    path: '/dev/gpu0',
    hostPath: '/dev/null',
    type: 'c',
    major: 1,
    minor: 3,
    mode: 0o666,
    uid: 0,
    gid: 0,
    access: 'rwm',
  });
});

test('an unknown device is an error that lists the known ones, unless it is optional', async () => {
  assert.match(
    await codeOf(find('vendor.com/gpu=7')),
    /KILN_DEVICE_UNKNOWN .*its devices are vendor\.com\/gpu=0, vendor\.com\/gpu=1/,
  );
  assert.equal(await find('vendor.com/gpu=7?'), []);
  for (const name of ['', 'gpu', '../x=y', 'vendor.com/gpu=../x'])
    assert.match(await codeOf(find(name)), /KILN_DEVICE_NAME/);
});

test('a later directory takes precedence, and YAML is read', async () => {
  writeFileSync(
    join(run, 'gpu.yaml'),
    'cdiVersion: 0.7.0\n' +
      'kind: vendor.com/gpu\n' +
      'devices:\n' +
      '- name: "0"\n' +
      '  containerEdits:\n' +
      '    env: [GPU=new]\n' +
      '    additionalGids: [44]\n' +
      '    hooks:\n' +
      '    - hookName: createContainer\n' +
      '      path: /bin/true\n' +
      '      args: [x]\n',
  );
  const [edits] = await find('vendor.com/gpu=0');
  assert.equal(edits?.env, ['GPU=new']);
  assert.equal(edits?.groups, [44]);
  assert.equal(edits?.hooks, [
    { when: 'createContainer', hook: { path: '/bin/true', args: ['x'] } },
  ]);
  rmSync(join(run, 'gpu.yaml'));
});

test('an invalid file is named without quoting it, and a pipe is not waited for', async () => {
  for (const [name, make] of [
    ['bad.json', (path: string) => writeFileSync(path, 'CANARY-SECRET')],
    ['bad.yaml', (path: string) => writeFileSync(path, '{CANARY-SECRET: [')],
    ['link.json', (path: string) => symlinkSync('/dev/zero', path)],
    ['pipe.json', (path: string) => execFileSync('mkfifo', [path])],
  ] as const) {
    const path = join(run, name);
    make(path);
    const error = await codeOf(find('vendor.com/gpu=0'));
    assert.match(error, /KILN_DEVICE_FILE .*(not valid (JSON|YAML)|not a regular file)/);
    assert.not.match(error, 'CANARY');
    rmSync(path);
  }
});

test('a file with wrong or unknown fields is named', async () => {
  const faulty: readonly [string, RegExp][] = [
    ['{', /JSON/],
    ['{"cdiVersion":"1.0.0","kind":"a.b/c","devices":[],"more":1}', /unknown field more/],
    ['{"cdiVersion":"1.0.0","kind":"c","devices":[]}', /kind is "c"/],
  ];
  for (const [text, why] of faulty) {
    writeFileSync(join(run, 'bad.json'), text);
    const said = await codeOf(find('vendor.com/gpu'));
    assert.match(said, /^KILN_DEVICE_FILE .*run\/bad\.json/);
    assert.match(said, why);
  }
  const device = (edits: unknown) => ({
    cdiVersion: '1.0.0',
    kind: 'bad.com/d',
    devices: [{ name: 'x', containerEdits: edits }],
  });
  for (const edits of [
    { intelRdt: {} },
    { env: ['novalue'] },
    { mounts: [{ hostPath: 'relative', containerPath: '/x' }] },
    { deviceNodes: [{ path: '/dev/nonesuch' }] },
    { deviceNodes: [{ path: '/etc/passwd' }] },
    { hooks: [{ hookName: 'later', path: '/bin/true' }] },
  ]) {
    writeFileSync(join(run, 'bad.json'), JSON.stringify(device(edits)));
    assert.match(await codeOf(find('bad.com/d=x')), /KILN_DEVICE_FILE/, JSON.stringify(edits));
    assert.is((await find('vendor.com/gpu=0')).length, 2, 'other devices are not affected');
  }
  rmSync(join(run, 'bad.json'));
});

const reason = whyNot();
// The order matters: a process never leaves the group with the device rules.
for (const cgroups of ['none', 'auto'] as const) {
  test(`a device has its node, mounts, variables and groups (cgroups: ${cgroups})`, async () => {
    if (reason) return console.log(`SKIP device: ${reason}`);
    if (!existsSync('/dev/net/tun')) return console.log('SKIP device: needs /dev/net/tun');
    using tree = makeTree();
    // A device that the default rules forbid.
    const node = join(tree.directory, 'node');
    execFileSync('mknod', ['-m', '666', node, 'c', '10', '200']);
    writeFileSync(join(tree.directory, 'lib'), 'library');
    const edits = {
      env: ['DEVICE=on'],
      deviceNodes: [{ path: '/dev/tunnel', hostPath: node }],
      mounts: [
        {
          hostPath: join(tree.directory, 'lib'),
          containerPath: '/usr/lib/x.so',
          options: ['ro', 'bind'],
        },
      ],
      additionalGids: [77],
    };
    writeFileSync(
      join(run, 'tun.json'),
      JSON.stringify({
        cdiVersion: '0.7.0',
        kind: 'test.com/tun',
        devices: [{ name: 'a', containerEdits: edits }],
      }),
    );
    await using executor = createExecutor({ stateDir: tree.stateDir, cgroups, networks: ['host'] });
    const script =
      '(exec 3<>/dev/tunnel) && echo opened; echo $DEVICE; cat /usr/lib/x.so; echo; id -G; ' +
      'mknod /tmp/t c 10 200; (exec 3<>/tmp/t) || echo refused';
    const withIt = await shell(executor, tree.root, script, {
      devices: await find('test.com/tun=a'),
    });
    assert.match(withIt.stdout, /^opened\non\nlibrary\n0 10 77\n/, JSON.stringify(withIt));
    assert.not(existsSync(tree.at('usr')), 'nothing is left in the tree');
    const without = await shell(
      executor,
      tree.root,
      'mknod /tmp/u c 10 200; test -c /tmp/u && (exec 3<>/tmp/u) || echo refused; ls /dev/tunnel',
    );
    assert.is(without.stdout, 'refused\n');
  });
}

test.run();
