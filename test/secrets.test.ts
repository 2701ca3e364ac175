import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  globSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cat, Rig, run, steps } from './rig.ts';

const root = process.getuid?.() === 0;
const real = (name: string, body: () => Promise<void>) => {
  if (!root) console.log(`SKIP ${name}: needs root`);
  else test(name, body);
};

const token = (label: string) => `planted-${label}-${randomBytes(9).toString('hex')}`;

/**
 * The texts that reveal a secret: the secret, its encodings, and its digest, with which a short
 * secret could be guessed.
 */
function traces(secret: string): Buffer[] {
  const bytes = Buffer.from(secret);
  const digest = createHash('sha256').update(bytes).digest();
  const encoded = [
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('hex'),
    digest.toString('hex'),
    digest.toString('base64url'),
  ];
  return [bytes, digest, ...encoded.map((text) => Buffer.from(text))];
}

/** The files below `directory` that reveal a secret. Compressed files are searched, too. */
function filesWith(directory: string, secrets: readonly string[]): string[] {
  const words = secrets.flatMap(traces);
  const found: string[] = [];
  for (const name of readdirSync(directory, { recursive: true }).map(String)) {
    const path = join(directory, name);
    if (words.some((word) => name.includes(word.toString()))) found.push(path);
    const raw = contentOf(path);
    if (!raw) continue;
    const contents = [raw];
    if (raw[0] === 0x1f && raw[1] === 0x8b) contents.push(gunzipSync(raw));
    if (raw.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd])))
      contents.push(zstdDecompressSync(raw));
    if (contents.some((content) => words.some((word) => content.includes(word)))) found.push(path);
  }
  return found;
}

/** The bytes of a file. Undefined for anything else, and for a file that is removed meanwhile. */
function contentOf(path: string): Buffer | undefined {
  try {
    return lstatSync(path).isFile() ? readFileSync(path) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The processes in the pid namespace of this host that reveal a secret in their arguments or
 * environment. Processes for which `except` is true are left out.
 */
function processesWith(secrets: readonly string[], except: (pid: string) => boolean): string[] {
  const own = readlinkSync('/proc/self/ns/pid');
  const words = secrets.flatMap(traces);
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      if (except(pid)) return false;
      // A process in another pid namespace is the step, which may have the secret.
      if (readlinkSync(`/proc/${pid}/ns/pid`) !== own) return false;
      const shown = ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${pid}/${file}`));
      return shown.some((text) => words.some((word) => text.includes(word)));
    } catch {
      return false; // The process has ended meanwhile.
    }
  });
}

real('planted tokens are in no layer, record, log, cache, metadata or other process', async () => {
  await using rig = await Rig.create('busybox');
  const secrets = {
    file: token('file'),
    env: token('env'),
    counted: token('counted'),
    piped: token('piped'),
  };
  const all = Object.values(secrets);
  const sum = (name: keyof typeof secrets) => createHash('md5').update(secrets[name]).digest('hex');
  const checks = [
    `test "$(md5sum < /run/secrets/file)" = "${sum('file')}  -"`,
    `test "$(printf %s "$ENV" | md5sum)" = "${sum('env')}  -"`,
    `test "$(md5sum < /counted)" = "${sum('counted')}  -"`,
    `test "$(md5sum < /run/secrets/piped)" = "${sum('piped')}  -"`,
  ];
  const mounts =
    '--mount=type=secret,id=file --mount=type=secret,id=env,env=ENV --mount=type=secret,' +
    'id=counted,target=/counted --mount=type=secret,id=piped';
  rig.write('c', {
    Dockerfile: `
FROM busybox
RUN --mount=type=cache,target=/c ${mounts} ${checks.join(' && ')} && touch /c/here && \
echo holding && while ! test -e /c/go; do sleep 0.05; done
RUN --mount=type=secret,id=file true && mkdir /made && echo fine > /made/file
`,
  });
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', rig.path('key')]);
  const key = readFileSync(rig.path('key'), 'utf8').split('\n')[2] ?? '';
  writeFileSync(rig.path('file'), secrets.file);
  writeFileSync(rig.path('counted'), secrets.counted);
  // Shows that the search among processes works.
  const careless = spawn('sleep', ['1000'], {
    env: { PATH: process.env['PATH'], TOKEN: secrets.env },
  });
  await new Promise((done) => careless.once('spawn', done));
  assert.equal(
    processesWith(all, () => false),
    [String(careless.pid)],
  );
  careless.kill();
  await new Promise((done) => careless.once('close', done));
  let seen: string[] | undefined;
  const ran = await rig.kiln(
    [
      ...[
        'build',
        '--progress=rawjson',
        '-t',
        'x',
        '--metadata-file',
        'out/metadata',
        '--iidfile',
        'out/iid',
      ],
      ...[
        '--secret',
        `id=file,src=${rig.path('file')}`,
        '--secret',
        'id=env,env=PLANTED',
        '--secret',
        'id=piped,src=-',
      ],
      ...[
        '--secret',
        `id=counted,src=${rig.path('counted')},invalidate=true`,
        '--ssh',
        `default=${rig.path('key')}`,
      ],
      ...[
        '--provenance=mode=max',
        '--cache-to',
        `type=local,mode=max,dest=${rig.path('out/cache')}`,
      ],
      ...[
        '--output',
        'type=oci,dest=out/layout,tar=false,compression=uncompressed',
        '--output',
        'type=image',
        rig.write('c', {}),
      ],
    ],
    {
      stdin: secrets.piped,
      env: { PLANTED: secrets.env },
      cwd: rig.write('.', { 'out/about': 'what the build writes' }),
      watch(output) {
        if (seen || !output.includes(Buffer.from('holding\n').toString('base64'))) return;
        // Kiln itself has the secret in the environment that its caller gave it.
        const isKiln = (pid: string) =>
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--cache-to');
        seen = processesWith(all, isKiln);
        const [here] = globSync(`${rig.store}/caches/**/here`);
        writeFileSync(here!.replace(/here$/, 'go'), '');
      },
    },
  );
  assert.is(ran.code, 0, ran.stderr);
  assert.equal(seen, [], 'processes beside the step');
  for (const word of all.flatMap(traces))
    assert.not(Buffer.from(ran.stdout + ran.stderr).includes(word), 'the progress');
  const planted = [...all, key];
  assert.equal(filesWith(rig.store, planted), []);
  assert.equal(filesWith(rig.path('out'), planted), []);
  assert.equal(filesWith('/run/kiln', planted), []);
  // Shows that the search in files works.
  assert.equal(filesWith(rig.path('.'), planted).sort(), [
    rig.path('counted'),
    rig.path('file'),
    rig.path('key'),
  ]);
});

real(
  'a user that is not root reads a secret as a file and a variable, with the given mode',
  async () => {
    await using rig = await Rig.create('busybox');
    rig.write('c', {
      Dockerfile: `
FROM busybox
USER 1234:2345
RUN --mount=type=secret,id=s cat /run/secrets/s && stat -c 'owned %u:%g %a' /run/secrets/s
RUN --mount=type=secret,id=s,mode=0440,gid=99 stat -c 'asked %u:%g %a' /run/secrets/s
RUN --mount=type=secret,id=s,env=S echo "in env $S"
`,
      s: 'readable\n',
    });
    const printed = await rig.build('c', '--secret', `id=s,src=${rig.path('c/s')}`);
    for (const words of [
      / readable$/m,
      / owned 1234:2345 400$/m,
      / asked 1234:99 440$/m,
      / in env readable$/m,
    ])
      assert.match(printed, words);
  },
);

real('a secret from standard input or a pipe is available to several steps', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `
FROM busybox
RUN --mount=type=secret,id=in --mount=type=secret,id=pipe cat /run/secrets/in /run/secrets/pipe > \
/one
RUN --mount=type=secret,id=in --mount=type=secret,id=pipe cat /run/secrets/pipe /run/secrets/in > \
/two
`,
  });
  const flags = ['--secret', 'id=in,src=/dev/stdin', '--secret', 'id=pipe,src=/dev/fd/5'];
  const command =
    `exec 5< <(printf pipe) && exec ${join(import.meta.dirname, '../kiln')} build -t x ` +
    `--progress=plain ${flags.join(' ')} c`;
  await run(['bash', '-c', command], {
    cwd: rig.directory,
    env: { KILN_ROOT: rig.store },
    stdin: 'stdin',
    expect: 0,
  });
  assert.is(await cat(rig, 'x', '/one'), 'stdinpipe');
  assert.is(await cat(rig, 'x', '/two'), 'pipestdin');
  for (const twice of [
    ['--secret', 'id=a,src=-', '-'],
    ['--secret', 'id=a,src=-', '-f', '-', 'c'],
    ['--secret', 'id=a,src=-', '--secret', 'id=b,src=/dev/stdin', 'c'],
  ]) {
    const ran = await rig.kiln(['build', ...twice]);
    assert.is(ran.code, 2);
    assert.match(ran.stderr, /KILN_STDIN_TWICE/);
  }
});

real('with invalidate=true a step runs again exactly when its secret changes', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `
FROM busybox
RUN echo first
RUN --mount=type=secret,id=s head -c 8 /dev/urandom > /r
RUN --mount=type=secret,id=other,env=O echo last
`,
  });
  const build = async (secret: string | undefined, more = ',invalidate=true') => {
    if (secret !== undefined) rig.write('.', { s: secret });
    const given = secret === undefined ? [] : ['--secret', `id=s,src=${rig.path('s')}${more}`];
    const ends = [
      ...steps(await rig.build('c', ...given, '--secret', 'id=other,env=HOME')).entries(),
    ];
    return ends.filter(([name]) => /RUN/.test(name)).map(([, end]) => end);
  };
  assert.equal(await build('one'), ['DONE', 'DONE', 'DONE']);
  assert.equal(await build('one'), ['CACHED', 'CACHED', 'CACHED']);
  assert.equal(await build('two'), ['CACHED', 'DONE', 'DONE']);
  assert.equal(await build('one'), ['CACHED', 'CACHED', 'CACHED']);
  // Without it a changed or missing secret does not run the step again.
  assert.equal(await build('three', ''), ['CACHED', 'DONE', 'DONE']);
  assert.equal(await build('four', ''), ['CACHED', 'CACHED', 'CACHED']);
  assert.equal(await build(undefined), ['CACHED', 'CACHED', 'CACHED']);
});

real('a step with secrets leaves no core file, unless it was asked for one', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `
FROM busybox
RUN --mount=type=secret,id=s echo "file $(ulimit -c) $(ulimit -Hc)"
RUN --mount=type=secret,id=s,env=S echo "variable $(ulimit -c) $(ulimit -Hc)"
`,
  });
  const secret = ['--secret', 'id=s,env=S'];
  const build = async (...flags: string[]) =>
    (
      await rig.kiln(['build', '--progress=plain', '--no-cache', ...secret, ...flags, 'c'], {
        env: { S: 'x' },
        expect: 0,
      })
    ).stderr;
  const none = await build();
  for (const kind of ['file', 'variable'])
    assert.match(none, new RegExp(`^#\\d+ [\\d.]+ ${kind} 0 0$`, 'm'));
  assert.match(await build('--ulimit', 'core=2048'), /^#\d+ [\d.]+ variable \d*[1-9] \d*[1-9]$/m);
});

real('a missing required secret, a large one and an unreadable one are errors', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN --mount=type=secret,id=s,required test -e /run/secrets/s\n',
  });
  rig.write('.', { large: 'x'.repeat(500 * 1024 + 1), most: 'x'.repeat(500 * 1024) });
  const build = (...flags: string[]) => rig.kiln(['build', '--progress=plain', ...flags, 'c']);
  assert.match((await build()).stderr, /KILN_SECRET_NOT_FOUND/);
  assert.match((await build('--secret', 'id=s,env=NOT_SET')).stderr, /KILN_SECRET_NOT_FOUND/);
  assert.match((await build('--secret', 'id=s,src=large')).stderr, /KILN_SECRET_TOO_LARGE/);
  assert.match((await build('--secret', 'id=s,src=c')).stderr, /cannot be read: it is a directory/);
  assert.is((await build('--secret', 'id=s,src=most')).code, 0);
});

test.run();
