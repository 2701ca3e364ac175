import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Chunker } from '../cache/saved/chunker.ts';
import { KILN, type Ran, Rig, run } from './rig.ts';

/*
 * Everything that Kiln writes, into every destination that can fail. The command fails with one
 * line that names what is full or gone, and leaves no incomplete file. A shell makes the
 * destination and runs the real binary.
 */

type Command = (destination: string) => string;

const FILES: Readonly<Record<string, Command>> = {
  'oci archive': (to) => `build -o type=oci,dest=${to} c`,
  'docker archive': (to) => `build -o type=docker,dest=${to} c`,
  tar: (to) => `build -o type=tar,dest=${to} c`,
  save: (to) => `save -o ${to} img`,
  'copy to an oci archive': (to) => `copy store:img oci-archive:${to}`,
  'copy to a docker archive': (to) => `copy store:img docker-archive:${to}`,
};
const DIRECTORIES: Readonly<Record<string, Command>> = {
  local: (to) => `build -o type=local,dest=${to} c`,
  layout: (to) => `build -o type=oci,tar=false,dest=${to} c`,
  'local cache': (to) => `build --cache-to type=local,mode=max,dest=${to} c`,
  'copy to a layout': (to) => `copy store:img oci:${to}`,
  'saved cache mounts': (to) => `cache export ${to}`,
};
const PIPED: Readonly<Record<string, string>> = {
  'oci archive': 'build -o type=oci,dest=- c',
  'docker archive': 'build -o type=docker,dest=- c',
  tar: 'build -o - c',
  save: 'save img',
  'copy to an oci archive': 'copy store:img oci-archive:-',
  'copy to a docker archive': 'copy store:img docker-archive:-:img:1',
  'standard output by its path': 'build -o type=oci,dest=/dev/stdout c',
};

/**
 * Makes a rig with an image and a cache mount that are larger than the small disks of these tests,
 * and with a long log.
 */
async function rigged(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  const cached = 'RUN --mount=type=cache,id=m,target=/m cp /big /m/f && seq 20000';
  rig.write('c', { Dockerfile: `FROM busybox\nCOPY big /big\n${cached}\n`, big: hardlyCut() });
  await rig.build('c', '-t', 'img');
  mkdirSync(rig.path('sink'));
  return rig;
}

/**
 * Makes random bytes of which a saved cache has a chunk above the file size limit of these tests.
 * The content decides where chunks end, so several attempts may be needed.
 */
function hardlyCut(): Buffer {
  for (;;) {
    const bytes = randomBytes(3_000_000);
    const chunker = new Chunker();
    const sizes = [...chunker.push(bytes), ...chunker.finish()].map((chunk) => chunk.byteLength);
    if (sizes.some((size) => size > 1500 * 1024)) return bytes;
  }
}

/** Runs a shell command with `kiln …` in it. Its exit code is that of kiln. */
function shell(rig: Rig, command: string): Promise<Ran> {
  const script = `kiln() { '${KILN}' "$@"; }; ${command}`;
  return run(['bash', '-c', script], { cwd: rig.directory, env: { KILN_ROOT: rig.store } });
}

/** Asserts that a command failed with one line that has a code, and without an excerpt. */
function failedWell(ran: Ran, what: string, says: RegExp): void {
  assert.ok(
    ran.code !== 0 && ran.code !== 70 && ran.code !== null,
    `${what}: exit ${ran.code}\n${ran.stderr}`,
  );
  assert.is(ran.stderr.match(/^ERROR/gm)?.length, 1, `${what}: ${ran.stderr}`);
  assert.match(ran.stderr, says, what);
  assert.not.match(ran.stderr, /^ {4}at |Node\.js v|bug in Kiln/m, what);
}

function parts(directory: string): string[] {
  return (readdirSync(directory, { recursive: true }) as string[]).filter((name) =>
    /\.part|\.\d+$/.test(name),
  );
}

async function onDisk(
  rig: Rig,
  options: string,
  body: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = rig.path('sink');
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory]);
  try {
    await body(directory);
  } finally {
    execFileSync('umount', ['-l', directory]);
  }
}

test('every output to a file: full or read-only disk, size limit, missing directory', async () => {
  await using rig = await rigged();
  for (const [name, command] of Object.entries(FILES)) {
    await shell(rig, `kiln ${command('whole')}`).then((ran) =>
      assert.is(ran.code, 0, `${name}: ${ran.stderr}`),
    );
    execFileSync('tar', ['-tf', rig.path('whole')]);
    rmSync(rig.path('whole'));
    await onDisk(rig, 'size=1m', async (directory) => {
      const full = await shell(rig, `kiln ${command('sink/o')}`);
      failedWell(
        full,
        `${name} on a full disk`,
        /sink\/o cannot be written: no space left on the device \[KILN_DISK_FULL\]/,
      );
      assert.equal(readdirSync(directory), [], name);
    });
    const limited = await shell(rig, `ulimit -f 1500; kiln ${command('sink/o')}`);
    failedWell(
      limited,
      `${name} past the limit`,
      /sink\/o cannot be written: file too large \[KILN_OUTPUT_UNWRITABLE\]/,
    );
    await onDisk(rig, 'ro', async () => {
      const readOnly = await shell(rig, `kiln ${command('sink/o')}`);
      failedWell(
        readOnly,
        `${name} on a read-only disk`,
        /sink\/o cannot be written: read-only .*KILN_OUTPUT_UNWRITABLE/,
      );
      assert.not.match(readOnly.stderr, /exporting|COPY/, 'told before the work');
    });
    const missing = await shell(rig, `kiln ${command('no/such/o')}`);
    failedWell(
      missing,
      `${name} without its directory`,
      /no\/such for the output .* does not exist \[KILN_OUTPUT_INVALID\]/,
    );
    assert.not(existsSync(rig.path('no')));
    failedWell(
      await shell(rig, `kiln ${command('c')}`),
      `${name} onto a directory`,
      /is a directory \[KILN_OUTPUT_INVALID\]/,
    );
    failedWell(
      await shell(rig, `kiln ${command('c/Dockerfile/o')}`),
      `${name} below a file`,
      /KILN_OUTPUT_UNWRITABLE/,
    );
    assert.equal(parts(rig.path('sink')), [], name);
  }
});

test('every output to a directory: a full or read-only disk, a limit, below a file', async () => {
  await using rig = await rigged();
  for (const [name, command] of Object.entries(DIRECTORIES)) {
    await shell(rig, `kiln ${command('whole')}`).then((ran) =>
      assert.is(ran.code, 0, `${name}: ${ran.stderr}`),
    );
    rmSync(rig.path('whole'), { recursive: true });
    await onDisk(rig, 'size=1m', async (directory) => {
      failedWell(
        await shell(rig, `kiln ${command('sink/d')}`),
        `${name} on a full disk`,
        /sink\/d.* cannot be written: no space left/,
      );
      assert.equal(parts(directory), [], name);
      assert.not(existsSync(`${directory}/d/big`), 'no half of a file');
      assert.not(existsSync(`${directory}/d/index.json`), 'no index of what is not there');
    });
    const limited = await shell(rig, `ulimit -f 1500; kiln ${command('sink/d')}`);
    failedWell(limited, `${name} past the limit`, /sink\/d.* cannot be written: file too large/);
    assert.equal(parts(rig.path('sink')), [], name);
    rmSync(rig.path('sink/d'), { recursive: true, force: true });
    await onDisk(rig, 'ro', async () => {
      failedWell(
        await shell(rig, `kiln ${command('sink/d')}`),
        `${name} on a read-only disk`,
        /read-only file system/,
      );
    });
    failedWell(
      await shell(rig, `kiln ${command('c/big/d')}`),
      `${name} below a file`,
      /KILN_(OUTPUT|FILE_UN)/,
    );
  }
});

test('every output to standard output: full disk, closed pipe, closed descriptor', async () => {
  await using rig = await rigged();
  for (const [name, command] of Object.entries(PIPED)) {
    const whole = await shell(rig, `set -o pipefail; kiln ${command} | tar -t`);
    assert.is(whole.code, 0, `${name}: ${whole.stderr}`);
    failedWell(
      await shell(rig, `kiln ${command} >/dev/full`),
      name,
      /standard output cannot be written: no space left .*KILN_DISK_FULL/,
    );
    await onDisk(rig, 'size=1m', async () => {
      const full = await shell(rig, `kiln ${command} >sink/o`);
      failedWell(
        full,
        `${name} on a full disk`,
        /standard output cannot be written: no space left .*KILN_DISK_FULL/,
      );
      assert.not.match(full.stderr, /KILN_ROOT|--root/, 'the store is not what is full');
    });
    const gone = await shell(
      rig,
      `kiln ${command} | head -c 1000 >/dev/null; exit \${PIPESTATUS[0]}`,
    );
    failedWell(
      gone,
      `${name} to a reader that goes`,
      /standard output cannot be written: the reader has gone .*KILN_OUTPUT_UNWRITABLE/,
    );
    failedWell(
      await shell(rig, `kiln ${command} >&-`),
      `${name}, closed`,
      /standard output is closed.*KILN_OUTPUT_UNWRITABLE/,
    );
    const limited = await shell(rig, `ulimit -f 1500; kiln ${command} >sink/o`);
    failedWell(
      limited,
      `${name} past the limit`,
      /standard output cannot be written: file too large .*KILN_OUTPUT_UNWRITABLE/,
    );
  }
  execFileSync('mkfifo', [rig.path('fifo')]);
  const fifo = await shell(rig, 'head -c 10 fifo >/dev/null & kiln build -o type=oci,dest=fifo c');
  failedWell(fifo, 'a fifo', /fifo cannot be written: the reader has gone/);
});

test('a reader that does not read cannot keep a build from being cancelled', async () => {
  await using rig = await rigged();
  execFileSync('mkfifo', [rig.path('p'), rig.path('fifo')]);
  // The output is larger than a pipe, so the build waits once the pipe is full. A python script
  // waits until the pipe has at least a page of bytes (FIONREAD).
  const full =
    'python3 -c "import fcntl,os,struct,sys,termios,time\n' +
    'f=os.open(sys.argv[1],os.O_RDWR|os.O_NONBLOCK)\n' +
    "while struct.unpack('i',fcntl.ioctl(f,termios.FIONREAD,b'....'))[0]<4096: " +
    'time.sleep(.01)"';
  for (const [name, pipe, output] of [
    ['standard output', 'p', '- c >p'],
    ['a fifo', 'fifo', 'fifo c'],
  ] as const) {
    const script =
      `exec 9<>${pipe}; '${KILN}' build -o type=oci,dest=${output} & k=$!; ${full} ${pipe}; ` +
      'kill -TERM $k; wait $k';
    const ran = await run(['bash', '-c', script], {
      cwd: rig.directory,
      env: { KILN_ROOT: rig.store },
    });
    assert.is(ran.code, 130, `${name}: ${ran.stderr}`);
    assert.match(ran.stderr, 'KILN_CANCELLED', name);
  }
});

test('a fifo that has no other end holds up no signal, wherever a user names it', async () => {
  await using rig = await rigged();
  execFileSync('mkfifo', [rig.path('fifo')]);
  await rig.kiln(['build', 'c'], { expect: 0 });
  for (const command of [
    'build --iidfile fifo c',
    'build --metadata-file fifo c',
    'build -f fifo c',
    'debug dump-llb --output fifo c',
    'history import fifo',
    'history export -o fifo',
    'history export --html fifo',
  ]) {
    const script = `'${KILN}' ${command} & k=$!; sleep 2; kill -TERM $k; wait $k`;
    const { code, stderr } = await run(['bash', '-c', script], {
      cwd: rig.directory,
      env: { KILN_ROOT: rig.store },
    });
    // On a busy machine the signal may come before the process looks for it.
    if (code !== 143) {
      assert.is(code, 130, `${command}: ${stderr}`);
      assert.match(stderr, 'KILN_CANCELLED', command);
    }
  }
  // Reports come when the build is over, and wait for nobody.
  const env = { GITHUB_ACTIONS: 'true', GITHUB_STEP_SUMMARY: rig.path('fifo') };
  const { stderr } = await rig.kiln(['build', 'c'], { env, expect: 0 });
  assert.match(stderr, /WARNING: the summary of the job cannot be written/);
});

test('a file without an end is refused, and a pipe with one is read', async () => {
  await using rig = await rigged();
  rig.write('a', { Dockerfile: 'FROM scratch\nARG V\nCOPY Dockerfile /$V\n' });
  const refused = await rig.kiln(['build', '--build-arg-file', '/dev/zero', 'a']);
  failedWell(refused, 'build-arg-file', /--build-arg-file cannot be read: file too large/);
  const pipe = await shell(rig, 'kiln build -o out --build-arg-file <(echo V=of-a-pipe) a');
  assert.is(pipe.code, 0, pipe.stderr);
  assert.ok(existsSync(rig.path('out/of-a-pipe')));
  failedWell(
    await rig.kiln(['imagetools', 'create', '--dry-run', '-f', '/dev/zero']),
    'imagetools',
    /cannot be read: file too large/,
  );
  failedWell(
    await rig.kiln(['history', 'import', 'a']),
    'history import',
    /the file of records a cannot be read: it is a directory/,
  );
});

test('a reader may close early: a list succeeds, an incomplete log is an error', async () => {
  await using rig = await rigged();
  const status = 'exit ${PIPESTATUS[0]}';
  const list = await shell(rig, `kiln images | true; ${status}`);
  assert.equal([list.code, list.stderr], [0, '']);
  failedWell(
    await shell(rig, `kiln logs | head -c 10 >/dev/null; ${status}`),
    'logs',
    /not read to its end: the reader has gone/,
  );
  for (const command of ['logs', 'images', 'debug dump-llb c', 'build -q c'])
    failedWell(
      await shell(rig, `kiln ${command} >&-`),
      `${command}, closed`,
      /standard output.* closed.*KILN_OUTPUT_UNWRITABLE/,
    );
  for (const command of ['logs', 'images', 'build -q c'])
    failedWell(
      await shell(rig, `kiln ${command} >/dev/full`),
      `${command}, full`,
      /standard output cannot be written: no space left/,
    );
  // Each removed image is a line of output. All are removed although nobody reads the lines. A
  // build whose progress nobody reads is completed, too.
  for (const name of ['one', 'two', 'yet']) await rig.kiln(['tag', 'img', name], { expect: 0 });
  assert.is((await shell(rig, `kiln rmi one two yet | true; ${status}`)).code, 0);
  assert.not.match((await rig.kiln(['images'])).stdout, /^(one|two|yet) /m);
  const deaf = await shell(
    rig,
    `kiln build --no-cache --progress=plain -t deaf c 2>&1 >/dev/null | true; ${status}`,
  );
  assert.is(deaf.code, 0);
  await rig.kiln(['inspect', 'deaf'], { expect: 0 });
  const program = await shell(rig, `kiln run img yes | head -n 1; ${status}`);
  assert.is(program.code, 141, program.stderr);
  assert.is((await shell(rig, 'kiln run img seq 9 >/dev/full')).code, 1);
});

test('one failed output does not keep others from being made, and each is reported', async () => {
  await using rig = await rigged();
  await onDisk(rig, 'size=1m', async () => {
    const outputs =
      '-o type=oci,dest=sink/o -o type=tar,dest=whole.tar -o type=local,dest=tree -o ' +
      'type=image,name=also';
    const caches =
      '--cache-to type=local,mode=max,dest=sink/cache --cache-to type=local,mode=max,dest=cache';
    const ran = await shell(
      rig,
      `kiln build ${outputs} ${caches} --iidfile iid --metadata-file meta c`,
    );
    failedWell(ran, 'several outputs', /sink\/o cannot be written: no space left/);
    const told = ran.stderr.split('\n').filter((line) => /^(not )?done: /.test(line));
    assert.equal(
      told.map((line) => line.replace(/: [^:]* cannot be written.*/, '')),
      [
        `not done: type=oci,dest=${rig.path('sink/o')}`,
        `done: type=tar,dest=${rig.path('whole.tar')}`,
        `done: type=local,dest=${rig.path('tree')}`,
        'done: the image in the store',
        `not done: cache to ${rig.path('sink/cache')}`,
        `done: cache to ${rig.path('cache')}`,
        'not done: the image ID file iid',
        'not done: the metadata file meta',
      ],
    );
  });
  execFileSync('tar', ['-tf', rig.path('whole.tar')]);
  assert.is(statSync(rig.path('tree/big')).size, 3_000_000);
  await rig.kiln(['inspect', 'also'], { expect: 0 });
  assert.ok(existsSync(rig.path('cache/index.json')));
  assert.equal([existsSync(rig.path('iid')), existsSync(rig.path('meta'))], [false, false]);
});

test('--iidfile and --metadata-file are complete or do not exist', async () => {
  await using rig = await rigged();
  for (const flag of ['--iidfile', '--metadata-file']) {
    await onDisk(rig, 'size=1m', async (directory) => {
      // The file of an earlier build is removed first, and would free some space.
      if (flag === '--metadata-file') writeFileSync(`${directory}/f`, 'before');
      execFileSync('sh', ['-c', `cat /dev/zero >'${directory}/fill' 2>/dev/null || true`]);
      failedWell(
        await shell(rig, `kiln build ${flag} sink/f c`),
        flag,
        /sink\/f cannot be written: no space left/,
      );
      assert.equal(
        readdirSync(directory).filter((name) => name !== 'fill' && name !== 'f'),
        [],
      );
      if (flag === '--metadata-file') assert.is(readFileSync(`${directory}/f`, 'utf8'), 'before');
    });
    failedWell(await shell(rig, `kiln build ${flag} no/such/f c`), flag, /no\/such/);
    assert.not(existsSync(rig.path('no')));
  }
  const failing =
    'kiln build -o type=local,dest=tree -o type=tar,dest=t.tar --iidfile iid ' +
    '--metadata-file meta -f f c';
  rig.write('.', { f: 'FROM busybox\nRUN false\n' });
  failedWell(await shell(rig, failing), 'a failed step', /KILN_STEP_FAILED/);
  for (const made of ['tree', 't.tar', 'iid', 'meta']) assert.not(existsSync(rig.path(made)), made);
});

test('a registry that dies in the middle of an upload', async () => {
  await using rig = await rigged();
  const server = createServer((request, response) => {
    if (request.method === 'HEAD') response.writeHead(404).end();
    else if (request.method === 'POST')
      response.writeHead(202, { location: '/v2/x/blobs/uploads/1' }).end();
    else if (request.url === '/v2/') response.writeHead(200).end();
    else if (request.method === 'GET') response.writeHead(404).end();
    else request.once('data', () => request.socket.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  try {
    const { port } = server.address() as AddressInfo;
    const name = `127.0.0.1:${port}/x:1`;
    failedWell(await shell(rig, `kiln push img ${name}`), 'push', /KILN_REGISTRY/);
    failedWell(await shell(rig, `kiln copy store:img ${name}`), 'copy', /KILN_REGISTRY/);
    const built = await shell(
      rig,
      `kiln build -o type=image,push=true,name=${name} -o type=tar,dest=t.tar c`,
    );
    failedWell(built, 'build', /KILN_REGISTRY/);
    assert.match(built.stderr, /not done: the push.*\ndone: type=tar,dest=\/.*\/t\.tar/);
    failedWell(
      await shell(rig, `kiln build --cache-to type=registry,mode=max,ref=${name} c`),
      'cache',
      /KILN_REGISTRY/,
    );
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test.run();
