import { createPublicKey, verify } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { duplexPair } from 'node:stream';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type InnerClient, openInnerClient } from '../../api/grpc/inner-client.ts';
import { type InnerMethods, serveInner } from '../../api/grpc/inner-server.ts';
import { Auth } from '../../api/proto/auth.gen.ts';
import { WriteAction, WriteContentRequestSchema } from '../../api/proto/content.gen.ts';
import { Secrets } from '../../api/proto/secrets.gen.ts';
import { SSH } from '../../api/proto/ssh.gen.ts';
import type { ClientSession } from '../../api/session/client-session.ts';
import { readClientBlob, writeClientBlob } from '../../api/session/content/client-store.ts';
import { sendFile } from '../../api/session/filesend/send-bytes.ts';
import { receiveDirectory } from '../../api/session/filesync/diff-copy.ts';
import { GO_MODE } from '../../api/session/filesync/go-mode.ts';
import type { FileStat } from '../../api/session/filesync/packet.ts';
import { sendFiles } from '../../api/session/filesync/send-files.ts';
import { digestOf } from '../../base/digest.ts';
import { WHOLE } from '../../builder/session.ts';
import { faultServer } from '../../registry/testing/faults.ts';
import { lentDirectories } from './lent-directories.ts';
import { lentLogins } from './lent-logins.ts';
import { lentOutputs } from './lent-outputs.ts';
import { lentStores } from './lent-stores.ts';
import { lentValues } from './lent-values.ts';

const never = () => new AbortController().signal;

/** Calls `work` as a server that is lent `methods`, with an empty directory. */
async function lending(
  methods: (directory: string) => InnerMethods,
  work: (client: InnerClient, session: ClientSession, directory: string) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-lend-'));
  const [ours, theirs] = duplexPair();
  using _server = serveInner(theirs, methods(directory));
  using client = openInnerClient(ours);
  const session = {
    id: 'test',
    name: '',
    sharedKey: '',
    client,
    supports: () => true,
    [Symbol.dispose]: () => {},
  };
  try {
    await work(client, session, directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function failure(work: Promise<unknown>): Promise<ConnectError> {
  const error = await work.catch((thrown: unknown) => thrown);
  assert.instance(error, ConnectError);
  return error as ConnectError;
}

function write(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
}

/** What a server gets of a lent directory: texts, and where links lead. */
async function brought(
  session: ClientSession,
  name: string,
  wanted: Partial<typeof WHOLE> = {},
): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  await receiveDirectory(
    session,
    name,
    { ...WHOLE, ...wanted },
    {
      file({ path, mode, linkname }) {
        const isFile = (mode & (GO_MODE.directory | GO_MODE.symlink)) === 0;
        if (!isFile) found[path] = linkname === '' ? '/' : `-> ${linkname}`;
        return isFile ? 'wanted' : 'known';
      },
      told: () => [],
      data({ path }, bytes) {
        found[path] = `${found[path] ?? ''}${Buffer.from(bytes)}`;
      },
      end({ path }) {
        found[path] ??= '';
      },
    },
    never(),
  );
  return found;
}

test('of a directory a server gets what it wants, and links as links', () =>
  lending(
    (directory) =>
      new Map([
        lentDirectories(
          new Map([
            ['context', { path: directory }],
            ['dockerfile', { path: directory, only: ['a'] }],
          ]),
        ),
      ]),
    async (_client, session, directory) => {
      write(directory, { a: 'A', 'd/b': 'B', 'd/c, ü': 'C', 'e/f/g': 'G', h: '' });
      symlinkSync('/etc', join(directory, 'out'));
      symlinkSync('../e/f', join(directory, 'd/to'));
      const all = await brought(session, 'context');
      assert.equal(all, {
        a: 'A',
        d: '/',
        'd/b': 'B',
        'd/c, ü': 'C',
        'd/to': '-> ../e/f',
        e: '/',
        'e/f': '/',
        'e/f/g': 'G',
        h: '',
        out: '-> /etc',
      });
      const some = { include: ['d'], exclude: ['d/b', 'd/c*', '!d/c*'] };
      assert.equal(Object.keys(await brought(session, 'context', some)), ['d', 'd/to', 'd/c, ü']);
      const followed = await brought(session, 'context', { follow: ['d/to/g', 'd/c*'] });
      assert.equal(Object.keys(followed).sort(), ['d', 'd/c, ü', 'd/to', 'e', 'e/f', 'e/f/g']);
      const outside = await brought(session, 'context', { follow: ['out/passwd', '../../etc'] });
      assert.equal(outside, { out: '-> /etc' });
      assert.equal(await brought(session, 'dockerfile'), { a: 'A' });
      const unlent = await failure(brought(session, '/etc'));
      assert.equal(
        [unlent.code, unlent.rawMessage],
        [Code.NotFound, 'no access allowed to dir "/etc"'],
      );
      const wrong = await failure(brought(session, 'context', { include: ['[a'] }));
      assert.match(wrong.rawMessage, /syntax error in pattern/);
    },
  ));

const stat = (path: string, more: Partial<FileStat> = {}): FileStat => ({
  path,
  mode: 0o644,
  uid: 7,
  gid: 7,
  size: 0,
  modTime: 1_700_000_000_000_000_001n,
  linkname: '',
  xattrs: new Map(),
  ...more,
});

/** Sends a tree as the output `id`. All files of it have the content `sent`. */
async function send({ client }: ClientSession, id: string, files: FileStat[]): Promise<void> {
  const content = mkdtempSync(join(tmpdir(), 'kiln-sent-'));
  writeFileSync(join(content, 'sent'), 'sent');
  const stream = client.stream(
    '/moby.filesync.v1.FileSend/DiffCopy',
    { 'buildkit-attachable-exporter-id': id },
    never(),
  );
  try {
    await sendFiles(stream, { files, open: () => openSync(join(content, 'sent'), 'r') });
  } finally {
    rmSync(content, { recursive: true });
  }
}

const outputsIn = (directory: string): InnerMethods =>
  new Map([
    lentOutputs(
      new Map([
        ['0', { kind: 'directory', path: join(directory, 'out') }],
        ['1', { kind: 'directory', path: join(directory, 'out') }],
        ['2', { kind: 'bytes', destination: { kind: 'file', path: join(directory, 'file') } }],
      ]),
      never(),
    ),
  ]);

test('a tree comes into its directory, keeps what is there, and follows no link of it', () =>
  lending(outputsIn, async (_client, session, directory) => {
    write(directory, { 'outside/f': 'mine', 'out/kept': 'kept', 'out/d/f': 'old' });
    symlinkSync('../outside', join(directory, 'out/to'));
    symlinkSync('../outside/f', join(directory, 'out/link'));
    await send(session, '0', [
      stat('d', { mode: (GO_MODE.directory | 0o700) >>> 0 }),
      stat('d/f', { size: 4 }),
      stat('d/g', { linkname: 'd/f' }),
      stat('dev', { mode: GO_MODE.device }),
      stat('link', { size: 4, mode: 0o600 }),
      stat('to', { mode: (GO_MODE.directory | 0o755) >>> 0 }),
      stat('to/f', { size: 4 }),
      stat('up', { mode: GO_MODE.symlink, linkname: '../../outside' }),
    ]);
    assert.equal(readdirSync(join(directory, 'out')).sort(), ['d', 'kept', 'link', 'to', 'up']);
    assert.is(readFileSync(join(directory, 'outside/f'), 'utf8'), 'mine');
    for (const name of ['d/f', 'd/g', 'link', 'to/f'])
      assert.is(readFileSync(join(directory, 'out', name), 'utf8'), 'sent', name);
    const { mode, uid, mtimeMs } = lstatSync(join(directory, 'out/d'));
    assert.equal([mode & 0o777, uid, Math.floor(mtimeMs)], [0o700, process.getuid?.(), 1.7e12]);
    assert.is(readlinkSync(join(directory, 'out/up')), '../../outside');
    const again = await failure(send(session, '0', []));
    assert.equal([again.code, again.rawMessage], [Code.NotFound, 'there is no output "0"']);
  }));

for (const [what, files] of [
  ['a path that leads up', [stat('../x')]],
  ['an absolute path', [stat('/x')]],
  ['a file in a link', [stat('l', { mode: GO_MODE.symlink, linkname: '/tmp' }), stat('l/x')]],
  ['another name of a file outside', [stat('x', { linkname: '../secret' })]],
] as const)
  test(`${what} is refused in a tree that comes`, () =>
    lending(outputsIn, async (_client, session, directory) => {
      write(directory, { secret: 's' });
      await failure(send(session, '1', [...files]));
      assert.equal(readdirSync(directory).sort(), ['out', 'secret']);
      assert.not(existsSync(join(directory, 'out/x')));
    }));

test('a file appears when it is whole, and not when the server ends early', () =>
  lending(outputsIn, async (_client, session, directory) => {
    const cancelled = new AbortController();
    const broken = sendFile(session, '2', cancelled.signal);
    await broken.write(Buffer.from('half'));
    cancelled.abort();
    await failure(broken.finish());
    // The other side has seen the end of the first one when it answers this.
    const unknown = sendFile(session, '9', never());
    await failure(unknown.write(Buffer.from('x')).then(() => unknown.finish()));
    assert.equal(readdirSync(directory), []);
  }));

test('blobs are read and written by their digests, and only where that is allowed', () =>
  lending(
    (directory) =>
      lentStores(
        new Map([
          ['oci:read', { root: join(directory, 'read'), isWritable: false }],
          ['export', { root: join(directory, 'write'), isWritable: true }],
        ]),
      ),
    async (client, session, directory) => {
      const bytes = Buffer.from('a blob');
      const digest = digestOf(bytes);
      const blob = { digest, size: bytes.byteLength };
      write(directory, {
        [`read/blobs/sha256/${digest.slice(7)}`]: 'a blob',
        secret: 'x',
      });
      const hex = 'f'.repeat(64);
      symlinkSync('../../../secret', join(directory, 'read/blobs/sha256', hex));
      const read = async (store: string, named: string) => {
        const pieces: Uint8Array[] = [];
        for await (const piece of readClientBlob(session, store, named, never()))
          pieces.push(piece);
        return Buffer.concat(pieces).toString();
      };
      assert.is(await read('oci:read', digest), 'a blob');
      for (const [store, named] of [
        ['oci:read', digestOf('other')],
        ['oci:read', '../../secret'],
        ['oci:read', `sha256:${hex}`],
        ['export', digest],
        ['', digest],
      ] as const)
        await failure(read(store, named));
      await writeClientBlob(session, 'export', blob, () => [bytes], never());
      assert.is(await read('export', digest), 'a blob');
      // Of a blob that is there nothing is read.
      const unread = () => {
        throw new Error('the blob is read');
      };
      await writeClientBlob(session, 'export', blob, unread, never());
      const refused = await failure(
        writeClientBlob(
          session,
          'oci:read',
          { digest: digestOf('b'), size: 1 },
          () => [Buffer.from('b')],
          never(),
        ),
      );
      assert.is(refused.code, Code.PermissionDenied);
      const lie = { digest: digestOf('truth'), size: 3 };
      await failure(writeClientBlob(session, 'export', lie, () => [Buffer.from('lie')], never()));
      const stream = client.stream(
        '/containerd.services.content.v1.Content/Write',
        { 'buildkit-attachable-store-id': 'export' },
        never(),
      );
      const named = create(WriteContentRequestSchema, {
        action: WriteAction.WRITE,
        ref: '../../up',
        expected: 'sha256:../../up',
      });
      await stream.send(toBinary(WriteContentRequestSchema, named));
      await failure(
        (async () => {
          for await (const _ of stream.receive());
        })(),
      );
      assert.equal(readdirSync(join(directory, 'write/blobs/sha256')), [digest.slice(7)]);
    },
  ));

test('a login is told only for a registry without tokens, or out of reach', async () => {
  const basic = `Basic ${Buffer.from('me:secret').toString('base64')}`;
  await using tokens = await faultServer(({ headers }, response) => {
    response.end(JSON.stringify({ token: headers.authorization === basic ? 'mine' : 'none' }));
  });
  await using thief = await faultServer((_, response) => void response.end('{"token":"stolen"}'));
  const registry = (challenge: string) =>
    faultServer(({ headers }, response) => {
      const isKnown = [basic, 'Bearer mine'].includes(headers.authorization ?? '');
      response.writeHead(isKnown ? 200 : 401, { 'www-authenticate': challenge }).end();
    });
  await using byToken = await registry(`Bearer realm="http://${tokens.host}/",service="s"`);
  await using byLogin = await registry('Basic realm="r"');
  const away = '127.0.0.1:1';
  const credentials = async () => ({ kind: 'basic', username: 'me', password: 'secret' }) as const;
  await using scope = new AsyncDisposableStack();
  await lending(
    () => lentLogins({ registry: async () => ({ credentials }) }, scope),
    async (client) => {
      const { method } = Auth;
      const login = (host: string) => client.unary(method.credentials, { host }, never());
      assert.is((await failure(login(byToken.host))).code, Code.NotFound);
      for (const host of [byLogin.host, away])
        assert.equal((await login(host)).secret, 'secret', host);
      const authority = (host: string) => client.unary(method.getTokenAuthority, { host }, never());
      assert.is((await failure(authority(away))).code, Code.Unavailable);
      const { publicKey } = await authority(byToken.host);
      const payload = Buffer.from('a question');
      const asked = { host: byToken.host, payload };
      const { signed } = await client.unary(method.verifyTokenAuthority, asked, never());
      const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), publicKey]);
      const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
      assert.ok(verify(null, payload, key, signed.subarray(0, 64)));
      assert.equal(Buffer.from(signed.subarray(64)), payload);
      const scopes = ['repository:team/app:pull'];
      const question = { host: byToken.host, realm: `http://${thief.host}/`, service: 's', scopes };
      const { token } = await client.unary(method.fetchToken, question, never());
      assert.is(token, 'mine');
      assert.is(thief.seen.length, 0);
      const nowhere = { ...question, host: byLogin.host };
      await failure(client.unary(method.fetchToken, nowhere, never()));
    },
  );
});

test('secrets and agents that are not lent are not there', () =>
  lending(
    () =>
      lentValues({
        secret: async (id) => (id === 'known' ? Buffer.from('s') : undefined),
        agent: async () => undefined,
      }),
    async (client) => {
      const ask = (id: string) => client.unary(Secrets.method.getSecret, { id }, never());
      assert.is(Buffer.from((await ask('known')).data).toString(), 's');
      assert.is((await failure(ask('other'))).code, Code.NotFound);
      await failure(client.unary(SSH.method.checkAgent, { id: 'default' }, never()));
    },
  ));

test.run();
