import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { FAILURE, MESSAGE, type SshAgentSource } from './agent.ts';
import { agentOfKeys, isAgentSocket } from './agent-files.ts';
import { forwardAgent } from './forward.ts';
import { keyAgent } from './key-agent.ts';
import { readSigningKey } from './signing-key.ts';
import { rawSocket, socketAgent } from './socket-agent.ts';
import { MAX_MESSAGE, messages, mpint, string, uint32 } from './wire.ts';

const missing = ['ssh-keygen', 'ssh-add', 'ssh-agent'].filter(
  (program) => spawnSync('which', [program]).status !== 0,
);
const real = (name: string, body: () => Promise<void>) => {
  if (missing.length > 0) console.log(`SKIP ${name}: needs ${missing.join(', ')} (openssh-client)`);
  else test(name, body);
};

class Bench implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'kiln-agent-'));

  at(...names: string[]): string {
    return join(this.directory, ...names);
  }

  /** A key made by ssh-keygen with these options. */
  key(name: string, ...options: string[]): string {
    const passphrase = options.includes('-N') ? [] : ['-N', ''];
    execFileSync('ssh-keygen', [
      '-q',
      '-C',
      `comment of ${name}`,
      ...passphrase,
      '-f',
      this.at(name),
      ...options,
    ]);
    return this.at(name);
  }

  /** Puts a forwarded socket in front of `source`. */
  async forward(source: SshAgentSource) {
    // The directory's path is longer than the address of a socket may be.
    const directory = this.at('d'.repeat(120));
    mkdirSync(directory, { recursive: true });
    return await forwardAgent(source, directory, { uid: 0, gid: 0, mode: 0o600 });
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/**
 * Runs a program while this process answers its requests. The program gets a short path to the
 * socket.
 */
async function client(
  socket: string,
  command: readonly string[],
  input = '',
): Promise<{ code: number | null; out: string }> {
  const short = mkdtempSync(join(tmpdir(), 'kiln-short-'));
  try {
    symlinkSync(socket, join(short, 's'));
    const child = spawn(command[0]!, command.slice(1), {
      env: { PATH: process.env['PATH'], SSH_AUTH_SOCK: join(short, 's') },
    });
    child.stdin.end(input);
    let out = '';
    child.stdout.on('data', (data) => (out += data));
    child.stderr.on('data', (data) => (out += data));
    const code = await new Promise<number | null>((done) => child.once('close', done));
    return { code, out };
  } finally {
    rmSync(short, { recursive: true });
  }
}

/** Sends one raw request to the socket. Returns undefined when the socket hangs up. */
async function ask(socket: string, bytes: Buffer): Promise<Buffer | undefined> {
  const short = mkdtempSync(join(tmpdir(), 'kiln-short-'));
  symlinkSync(socket, join(short, 's'));
  const connection = createConnection(join(short, 's'));
  connection.on('error', () => {});
  try {
    connection.write(bytes);
    for await (const message of messages(connection)) return message;
    return undefined;
  } catch {
    return undefined;
  } finally {
    connection.destroy();
    rmSync(short, { recursive: true });
  }
}

async function startAgent(
  bench: Bench,
): Promise<{ readonly socket: string; readonly child: ChildProcess }> {
  const socket = bench.at('real.sock');
  const child = spawn('ssh-agent', ['-D', '-a', socket], { stdio: ['ignore', 'pipe', 'ignore'] });
  // The agent prints its address once it listens.
  await new Promise((done) => child.stdout.once('data', done));
  return { socket, child };
}

const KINDS: readonly (readonly [name: string, type: string, ...options: string[]])[] = [
  ['ed25519', 'ssh-ed25519', '-t', 'ed25519'],
  ['rsa', 'ssh-rsa', '-t', 'rsa', '-b', '2048'],
  ['rsa PEM', 'ssh-rsa', '-t', 'rsa', '-b', '2048', '-m', 'PEM'],
  ['rsa PKCS8', 'ssh-rsa', '-t', 'rsa', '-b', '2048', '-m', 'PKCS8'],
  ['ecdsa 256', 'ecdsa-sha2-nistp256', '-t', 'ecdsa', '-b', '256'],
  ['ecdsa 384', 'ecdsa-sha2-nistp384', '-t', 'ecdsa', '-b', '384'],
  ['ecdsa 521', 'ecdsa-sha2-nistp521', '-t', 'ecdsa', '-b', '521'],
  ['ecdsa PEM', 'ecdsa-sha2-nistp256', '-t', 'ecdsa', '-b', '256', '-m', 'PEM'],
  ['ecdsa PKCS8', 'ecdsa-sha2-nistp384', '-t', 'ecdsa', '-b', '384', '-m', 'PKCS8'],
];

for (const [name, type, ...options] of KINDS)
  real(
    `a key from disk (${name}) is listed by ssh-add, and ssh-keygen takes its signatures`,
    async () => {
      using bench = new Bench();
      const path = bench.key('key', ...options);
      const publicKey = readFileSync(`${path}.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
      await using forwarded = await bench.forward(
        keyAgent([readSigningKey(readFileSync(path), 'key')]),
      );
      const listed = await client(forwarded.socket, ['ssh-add', '-L']);
      assert.is(listed.out.split(' ').slice(0, 2).join(' '), publicKey);
      assert.ok(listed.out.startsWith(`${type} `));
      // The agent has the key, so its file is not needed any more.
      rmSync(path);
      // Repeated because one number in 256 has another length than the rest.
      for (let round = 0; round < 5; round++) {
        writeFileSync(bench.at('data'), `round ${round}`);
        const signed = await client(
          forwarded.socket,
          ['ssh-keygen', '-q', '-Y', 'sign', '-f', `${path}.pub`, '-n', 'test'],
          `${round}`,
        );
        assert.is(signed.code, 0, signed.out);
        writeFileSync(bench.at('signature'), signed.out);
        const checked = spawnSync(
          'ssh-keygen',
          ['-Y', 'check-novalidate', '-n', 'test', '-s', bench.at('signature')],
          {
            input: `${round}`,
          },
        );
        assert.is(checked.status, 0, String(checked.stderr));
      }
    },
  );

for (const [name, flags, wanted] of [
  ['none', 0, 'ssh-rsa'],
  ['2', 2, 'rsa-sha2-256'],
  ['4', 4, 'rsa-sha2-512'],
] as const)
  real(`an RSA key signs with the hash that flag ${name} asks for`, async () => {
    using bench = new Bench();
    const key = readSigningKey(readFileSync(bench.key('key', '-t', 'rsa', '-b', '2048')), 'key');
    const signature = key.sign(Buffer.from('data'), flags);
    assert.is(signature.subarray(4, 4 + signature.readUInt32BE(0)).toString(), wanted);
  });

for (const [name, ...options] of [
  ['OpenSSH', '-t', 'ed25519', '-N', 'secret'],
  ['PEM', '-t', 'rsa', '-m', 'PEM', '-N', 'secret'],
  ['PKCS8', '-t', 'rsa', '-m', 'PKCS8', '-N', 'secret'],
] as const)
  real(`a key with a passphrase (${name}) is refused, and the agent named as the way`, async () => {
    using bench = new Bench();
    const error = thrown(() => readSigningKey(readFileSync(bench.key('key', ...options)), 'key'));
    assert.is(error.code, 'KILN_SSH_KEY');
    assert.match(error.message, /passphrase/);
    assert.match(error.hint ?? '', /ssh-add/);
  });

real('a public key, a damaged key and any other file are different errors', async () => {
  using bench = new Bench();
  const path = bench.key('key', '-t', 'ed25519');
  assert.match(
    thrown(() => readSigningKey(readFileSync(`${path}.pub`), 'k')).message,
    /is a public key/,
  );
  assert.match(
    thrown(() => readSigningKey(Buffer.from('hello'), 'k')).message,
    /not a private key/,
  );
  const text = readFileSync(path, 'utf8');
  const lines = text.split('\n');
  for (const damaged of [
    text.replace(lines[2] ?? '', ''),
    text.replace(/^b3Blb/m, 'c3Blb'),
    text.replace(/-----END.*/, ''),
  ])
    assert.is(thrown(() => readSigningKey(Buffer.from(damaged), 'k')).code, 'KILN_SSH_KEY');
  assert.is(
    thrown(() =>
      readSigningKey(
        Buffer.from('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'),
        'k',
      ),
    ).code,
    'KILN_SSH_KEY',
  );
});

real('a forwarded agent signs and lists, and cannot be changed', async () => {
  using bench = new Bench();
  const agent = await startAgent(bench);
  try {
    const path = bench.key('key', '-t', 'ed25519');
    assert.is((await client(agent.socket, ['ssh-add', '-q', path])).code, 0);
    await using forwarded = await bench.forward(socketAgent(agent.socket));
    assert.match((await client(forwarded.socket, ['ssh-add', '-L'])).out, /^ssh-ed25519 /);
    assert.is((await client(forwarded.socket, ['ssh-add', '-T', `${path}.pub`])).code, 0);
    const other = bench.key('other', '-t', 'ed25519');
    for (const change of [['-q', other], ['-d', `${path}.pub`], ['-D'], ['-q', '-t', '10', other]])
      assert.is.not(
        (await client(forwarded.socket, ['ssh-add', ...change])).code,
        0,
        change.join(' '),
      );
    assert.is((await client(agent.socket, ['ssh-add', '-L'])).out.trim().split('\n').length, 1);
  } finally {
    agent.child.kill();
    await new Promise((done) => agent.child.once('close', done));
  }
});

test('requests other than listing and signing fail and never reach the agent', async () => {
  using bench = new Bench();
  const seen: number[] = [];
  const spy: SshAgentSource = {
    connect: () => ({
      ask: async (request) => {
        seen.push(request[0] ?? -1);
        return Buffer.from([MESSAGE.keys, 0, 0, 0, 0]);
      },
      [Symbol.dispose]: () => {},
    }),
  };
  await using forwarded = await bench.forward(spy);
  for (let type = 0; type < 256; type++) {
    const answer = await ask(forwarded.socket, string(Buffer.from([type, 1, 2, 3])));
    assert.equal(
      answer,
      type === 11 || type === 13 ? Buffer.from([MESSAGE.keys, 0, 0, 0, 0]) : FAILURE,
      `type ${type}`,
    );
  }
  assert.equal(seen, [11, 13]);
});

test('requests in pieces, and several at once, are answered in order', async () => {
  using bench = new Bench();
  await using forwarded = await bench.forward(keyAgent([]));
  const request = Buffer.concat([
    string(Buffer.from([11])),
    string(Buffer.from([99])),
    string(Buffer.from([11])),
  ]);
  const short = bench.at('s');
  symlinkSync(forwarded.socket, short);
  const connection = createConnection(short);
  connection.setNoDelay(true);
  for (const byte of request) connection.write(Buffer.from([byte]));
  const answers: number[] = [];
  for await (const message of messages(connection)) if (answers.push(message[0] ?? -1) === 3) break;
  assert.equal(answers, [MESSAGE.keys, MESSAGE.failure, MESSAGE.keys]);
});

test('a message that is empty or too long ends its own conversation only', async () => {
  using bench = new Bench();
  await using forwarded = await bench.forward(keyAgent([]));
  for (const bytes of [uint32(0), uint32(MAX_MESSAGE + 1), uint32(0xffffffff)])
    assert.is(await ask(forwarded.socket, bytes), undefined);
  assert.equal(await ask(forwarded.socket, string(Buffer.from([MESSAGE.sign, 0, 0]))), FAILURE);
  assert.equal(
    await ask(forwarded.socket, string(Buffer.from([MESSAGE.sign, ...uint32(0x7fffffff)]))),
    FAILURE,
  );
  assert.is((await ask(forwarded.socket, string(Buffer.from([11]))))?.[0], MESSAGE.keys);
});

test('what is lent raw may be no agent: it may speak first, and zeros pass', async () => {
  using bench = new Bench();
  const path = bench.at('raw.sock');
  const echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.write('ready\n');
    socket.pipe(socket);
  });
  await new Promise<void>((done) => echo.listen(path, done));
  try {
    await using forwarded = await bench.forward(rawSocket(path));
    const short = bench.at('s');
    symlinkSync(forwarded.socket, short);
    const connection = createConnection({ path: short, allowHalfOpen: true });
    const [greeting] = await once(connection, 'data');
    assert.is(String(greeting), 'ready\n');
    const sent = Buffer.alloc(1 << 20, Buffer.from([0, 0, 0, 1, 99, 255]));
    connection.end(sent);
    const answer: Buffer[] = [];
    for await (const piece of connection) answer.push(piece);
    assert.ok(Buffer.concat(answer).equals(sent));
  } finally {
    await new Promise((done) => echo.close(done));
  }
});

test('the client of what is lent raw is hung up on when nobody listens', async () => {
  using bench = new Bench();
  await using forwarded = await bench.forward(rawSocket(bench.at('nothing.sock')));
  assert.is(await ask(forwarded.socket, string(Buffer.from([11]))), undefined);
});

test('the client gets a failure when the agent is gone or hangs up', async () => {
  using bench = new Bench();
  await using forwarded = await bench.forward(socketAgent(bench.at('nothing.sock')));
  assert.equal(await ask(forwarded.socket, string(Buffer.from([11]))), FAILURE);
  const rude = createServer((socket) => socket.resume().end());
  await new Promise<void>((done) => rude.listen(bench.at('rude.sock'), done));
  try {
    const directory = bench.at('second');
    mkdirSync(directory);
    await using second = await forwardAgent(socketAgent(bench.at('rude.sock')), directory, {
      uid: 0,
      gid: 0,
      mode: 0o600,
    });
    assert.equal(await ask(second.socket, string(Buffer.from([11]))), FAILURE);
  } finally {
    await new Promise((done) => rude.close(done));
  }
});

test('the socket has the owner and mode asked for, and is gone afterwards', async () => {
  using bench = new Bench();
  const owner = process.getuid?.() === 0 ? 1234 : (process.getuid?.() ?? 0);
  const group = process.getuid?.() === 0 ? 2345 : (process.getgid?.() ?? 0);
  chmodSync(bench.directory, 0o700);
  const forwarded = await forwardAgent(keyAgent([]), bench.directory, {
    uid: owner,
    gid: group,
    mode: 0o640,
  });
  const stat = statSync(forwarded.socket);
  assert.equal(
    [stat.uid, stat.gid, stat.mode & 0o7777, stat.isSocket()],
    [owner, group, 0o640, true],
  );
  await forwarded[Symbol.asyncDispose]();
  assert.is(statSync(forwarded.socket, { throwIfNoEntry: false }), undefined);
});

test('disposing ends conversations that are open', async () => {
  using bench = new Bench();
  const forwarded = await forwardAgent(keyAgent([]), bench.directory, {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    mode: 0o600,
  });
  const connection = createConnection(forwarded.socket);
  await new Promise((done) => connection.once('connect', done));
  const closed = new Promise((done) => connection.once('close', done));
  await forwarded[Symbol.asyncDispose]();
  await closed;
});

test('an mpint has no leading zeros except the one that keeps it positive', () => {
  assert.equal(mpint(Buffer.from([0, 0, 1])), Buffer.from([0, 0, 0, 1, 1]));
  assert.equal(mpint(Buffer.from([0x80])), Buffer.from([0, 0, 0, 2, 0, 0x80]));
  assert.equal(mpint(Buffer.from([0])), Buffer.from([0, 0, 0, 0]));
});

function thrown(body: () => unknown): KilnError {
  try {
    body();
  } catch (error) {
    assert.instance(error, KilnError);
    return error as KilnError;
  }
  throw new Error('expected an error');
}

real('a key comes through a pipe, and a pipe without a writer is refused', async () => {
  using bench = new Bench();
  const key = bench.key('key', '-t', 'ed25519');
  execFileSync('mkfifo', [bench.at('written'), bench.at('silent')]);
  const writer = spawn('sh', ['-c', 'cat "$0" > "$1"', key, bench.at('written')]);
  assert.ok(agentOfKeys([bench.at('written')]));
  writer.kill();
  assert.throws(
    () => agentOfKeys([bench.at('silent')]),
    (error: KilnError) => error.code === 'KILN_SSH_AGENT' && /nobody writes/.test(error.message),
  );
});

test('what is neither a socket nor a key file is refused by its path', () => {
  using bench = new Bench();
  const code = (work: () => unknown) => {
    try {
      work();
    } catch (error) {
      assert.instance(error, KilnError);
      return `${(error as KilnError).code} ${(error as KilnError).message}`;
    }
    return assert.unreachable() as never;
  };
  assert.match(
    code(() => isAgentSocket(bench.at('none'))),
    /^KILN_SSH_AGENT .*none: there is no/,
  );
  symlinkSync('nowhere', bench.at('link'));
  assert.match(
    code(() => isAgentSocket(bench.at('link'))),
    /it is a link to "nowhere"/,
  );
  assert.match(
    code(() => agentOfKeys([bench.directory])),
    /neither a socket nor a key file/,
  );
  writeFileSync(bench.at('text'), 'not a key');
  assert.match(
    code(() => agentOfKeys([bench.at('text')])),
    /^KILN_SSH_KEY .*text$/,
  );
});

test.run();
