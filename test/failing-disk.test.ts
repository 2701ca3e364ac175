import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Ran, Rig, ROOT, run } from './rig.ts';

/**
 * Disks that fail in the middle of the work, and quotas that end: the real binary, in which one
 * call of the file system fails (failing-calls.ts). What cannot be written is named with the
 * reason, and nothing of it stays.
 */

const REASONS = {
  EIO: 'input/output error',
  EDQUOT: 'disk quota exceeded',
} as const;

const OUTPUTS: Readonly<Record<string, string>> = {
  'oci archive': 'build -o type=oci,dest=sink/o c',
  'docker archive': 'build -o type=docker,dest=sink/o c',
  tar: 'build -o type=tar,dest=sink/o c',
  layout: 'build -o type=oci,tar=false,dest=sink/o c',
  'local cache': 'build --cache-to type=local,mode=max,dest=sink/o c',
  save: 'save -o sink/o img',
  'copy to an archive': 'copy store:img oci-archive:sink/o',
  'copy to a layout': 'copy store:img oci:sink/o',
  'image ID file': 'build --iidfile sink/o c',
  'metadata file': 'build --metadata-file sink/o c',
  graph: 'debug dump-llb -o sink/o c',
};

async function rigged(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nCOPY a /a\n', a: 'a' });
  await rig.build('c', '-t', 'img');
  mkdirSync(rig.path('sink'));
  return rig;
}

function failing(rig: Rig, command: string, fault: string): Promise<Ran> {
  return rig.kiln(command.split(' '), {
    env: {
      NODE_OPTIONS: `--import ${join(ROOT, 'test/failing-calls.ts')}`,
      KILN_TEST_FAILING: fault,
    },
  });
}

function failedWell(ran: Ran, what: string, says: RegExp): void {
  assert.ok(ran.code !== 0 && ran.code !== 70, `${what}: exit ${ran.code}\n${ran.stderr}`);
  assert.is(ran.stderr.match(/^ERROR/gm)?.length, 1, `${what}: ${ran.stderr}`);
  assert.match(ran.stderr, says, `${what}: ${ran.stderr}`);
  assert.match(ran.stderr, /^hint: /m, what);
  assert.not.match(ran.stderr, /KILN_SYSTEM|bug in Kiln|\n\s+at /, what);
}

function files(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}

for (const call of ['writeSync', 'fdatasync', 'renameSync'] as const) {
  test(`every output whose ${call} fails is named, and nothing of it stays`, async () => {
    await using rig = await rigged();
    for (const [name, command] of Object.entries(OUTPUTS)) {
      const isDirectory = /layout|local cache/.test(name);
      // The files of a directory are written by other calls.
      if (isDirectory && call === 'writeSync') continue;
      for (const [code, reason] of Object.entries(REASONS)) {
        const what = `${name}, ${call}, ${code}`;
        const ran = await failing(rig, command, `${call} ${rig.path('sink')} ${code}`);
        failedWell(ran, what, new RegExp(`sink/o.* cannot be written: ${reason}`));
        const left = files(rig.path('sink'));
        // A directory keeps the blobs that are whole. No index names them.
        assert.ok(!left.some((file) => file.includes('.part')), `${what}: ${left}`);
        assert.not(left.includes('index.json'), what);
        if (!isDirectory) assert.equal(left, [], what);
        rmSync(rig.path('sink/o'), { recursive: true, force: true });
      }
    }
  });
}

test('a store on a failing disk is named, with the reason', async () => {
  await using rig = await rigged();
  const archive = rig.path('img.tar');
  await rig.kiln(['save', '-o', archive, 'img'], { expect: 0 });
  for (const [command, call, part, code, says] of [
    ['build --no-cache c', 'writeSync', '/store/leases/', 'EIO', /store cannot be written: input/],
    ['build c', 'readSync', '/store/blobs/', 'EIO', /store cannot be read: input/],
    ['build c', 'statSync', '/store/blobs/', 'EIO', /store cannot be written: input/],
    ['inspect img', 'readSync', '/store/blobs/', 'EIO', /store cannot be read: input/],
    ['build c', 'openSync', '/store/blobs/', 'EMFILE', /store cannot be read: too many open files/],
    ['images', 'readdirSync', '/store/tmp', 'EIO', /store cannot be read: input/],
    [
      'load --root store-of-load -i img.tar',
      'writeSync',
      '/store-of-load/',
      'EDQUOT',
      /no space left for .*store/,
    ],
    [
      'load --root store-of-load -i img.tar',
      'fdatasyncSync',
      '/store-of-load/',
      'EIO',
      /store cannot be written: input/,
    ],
  ] as const) {
    const ran = await failing(rig, command, `${call} ${part} ${code}`);
    failedWell(ran, `${command}, ${call} ${part}`, says);
  }
});

test('what only saves work does not stop a build when it cannot be written', async () => {
  await using rig = await rigged();
  for (const [call, part] of [
    ['writeFileSync', '/statcache/'],
    ['writeSync', '/logs/'],
  ] as const) {
    rig.write('c', { a: `${call} ${part}` });
    const ran = await failing(rig, 'build -t new c', `${call} ${rig.store}${part} EIO`);
    assert.is(ran.code, 0, ran.stderr);
  }
});

test('a limit of file sizes that the store meets is named as such', async () => {
  await using rig = await rigged();
  rig.write('big', {
    Dockerfile: 'FROM busybox\nCOPY big /\n',
    'add.Dockerfile': 'FROM busybox\nADD big.tar /\n',
    big: new Uint8Array(3_000_000).fill(7),
  });
  await run(['tar', '-cf', 'big.tar', 'big'], { cwd: rig.path('big'), expect: 0 });
  for (const words of ['build big', 'build -f big/add.Dockerfile big']) {
    const script = `ulimit -f 1000; exec '${join(ROOT, 'kiln')}' ${words}`;
    const ran = await run(['bash', '-c', script], {
      cwd: rig.directory,
      env: { KILN_ROOT: rig.store },
    });
    failedWell(ran, words, /the store cannot be written: file too large \[KILN_STORE_UNWRITABLE\]/);
  }
});

test.run();
