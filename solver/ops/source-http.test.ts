import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { failure } from '../../base/testing/failure.ts';
import type { FetchedFile } from '../../cache/fetched.ts';
import { createFetcher } from '../../registry/fetch.ts';
import { DEFAULT_RETRY } from '../../registry/retry.ts';
import { never } from '../../registry/testing/client.ts';
import { type Answer, type FaultServer, faultServer } from '../../registry/testing/faults.ts';
import type { BuildResult } from '../result.ts';
import type { MapReport, RunContext } from '../solver.ts';
import { type StepSession, stepSession } from '../step-session.ts';
import { copyingSnapshotter, listTree } from './file/testing.ts';
import { type SourceHttpWorld, sourceHttpOp } from './source-http.ts';

/** Old enough to identify a version: see RFC 9110, 8.8.2.2. */
const MODIFIED = 'Thu, 01 Jan 2009 00:00:10 GMT';

/** A store that several builds use. Each build has its own fetcher and session. */
class Store implements Disposable {
  readonly snapshotter = copyingSnapshotter();
  readonly fetched = new Map<string, FetchedFile>();

  async build<T>(
    body: (build: Build) => Promise<T>,
    lent: Parameters<typeof stepSession>[0] = {},
  ): Promise<T> {
    const retry = { ...DEFAULT_RETRY, wait: async () => {} };
    await using fetcher = createFetcher({ proxies: { none: [] }, retry });
    const fetched = {
      find: (id: string) => this.fetched.get(id),
      save: (id: string, file: FetchedFile) => void this.fetched.set(id, file),
    };
    return await body(
      new Build({ snapshotter: this.snapshotter, fetcher, fetched }, stepSession(lent)),
    );
  }

  list(result: BuildResult): string[] {
    assert.is(result.kind, 'snapshot');
    return result.kind === 'snapshot' ? listTree(this.snapshotter.at(result.snapshot)) : [];
  }

  [Symbol.dispose](): void {
    this.snapshotter[Symbol.dispose]();
  }
}

class Build {
  readonly #world: SourceHttpWorld;

  readonly #context: RunContext & MapReport;

  constructor(world: SourceHttpWorld, session: StepSession) {
    this.#world = world;
    this.#context = {
      signal: never(),
      progress: () => {},
      vertex: digestOf('v'),
      started: () => {},
      session,
    };
  }

  op(url: string, attrs: Record<string, string> = {}) {
    return sourceHttpOp({ identifier: url, attrs }, this.#world);
  }

  async key(url: string, attrs: Record<string, string> = {}): Promise<string> {
    return JSON.stringify((await this.op(url, attrs).cacheMap(never(), this.#context)).parts);
  }

  async run(url: string, attrs: Record<string, string> = {}): Promise<BuildResult> {
    return (await this.op(url, attrs).run([], this.#context))[0]!;
  }
}

/** Runs one build against a server. Returns the files of the tree. */
async function once(
  answer: Answer,
  path = '/f.txt',
  attrs: Record<string, string> = {},
): Promise<string[]> {
  await using server = await faultServer(answer);
  using store = new Store();
  return store.list(await store.build((build) => build.run(`http://${server.host}${path}`, attrs)));
}

const urlOf = (server: FaultServer, path = '/f.txt') => `http://${server.host}${path}`;
const headers = (server: FaultServer, at: number) => server.seen[at]!.headers;

const http = suite('source-http');

http('a file has mode 0600 and the time of Last-Modified', async () => {
  const tree = await once(
    (_, response) => void response.setHeader('last-modified', MODIFIED).end('bytes'),
  );
  assert.equal(tree, ['f.txt file 0600 0:0 1230768010 "bytes"']);
});

http('without Last-Modified the time of a file is 1970', async () => {
  assert.equal(await once((_, response) => void response.end('bytes')), [
    'f.txt file 0600 0:0 0 "bytes"',
  ]);
});

http('the graph can set name, mode and owner', async () => {
  const attrs = {
    'http.filename': 'context',
    'http.perm': '0755',
    'http.uid': '3',
    'http.gid': '4',
  };
  assert.equal(await once((_, response) => void response.end('x'), '/f.txt', attrs), [
    'context file 0755 3:4 0 "x"',
  ]);
});

const NAMES: readonly (readonly [string, string | undefined, string])[] = [
  ['/dir/a%20b', undefined, 'a b'],
  ['/', undefined, 'download'],
  ['/%2e%2e%2f', undefined, 'download'],
  ['/a', 'attachment; filename="b c.txt"', 'b c.txt'],
  ['/a', 'attachment; filename=b.txt; size=1', 'b.txt'],
  ['/a', "attachment; filename*=UTF-8''b%C3%A9; filename=c", 'bé'],
  ['/a', 'attachment; filename="../../etc/passwd"', 'passwd'],
  ['/a', 'attachment; filename=".."', 'download'],
  ['/a', 'attachment; filename="."', 'download'],
  ['/a', 'attachment; filename=""', 'a'],
  ['/a', 'attachment; filename="x/"', 'a'],
  ['/a', "attachment; filename*=UTF-8''x%00y", 'download'],
  ['/a', "attachment; filename*=UTF-8''..%2F..%2Fx", 'x'],
  ['/a', `attachment; filename="${'n'.repeat(300)}"`, 'download'],
];
for (const [path, disposition, name] of NAMES)
  http(
    `${path} with ${disposition?.slice(0, 60) ?? 'no Content-Disposition'} is called ${name}`,
    async () => {
      const tree = await once((_, response) => {
        if (disposition) response.setHeader('content-disposition', disposition);
        response.end('');
      }, path);
      assert.equal(tree, [`${name} file 0600 0:0 0 ""`]);
    },
  );

http('an unchanged file is not downloaded again and keeps its key', async () => {
  using store = new Store();
  await using server = await faultServer((request, response) => {
    response.setHeader('etag', 'W/"1"');
    if (request.headers['if-none-match'] === 'W/"1"') response.writeHead(304).end();
    else response.end('bytes');
  });
  const cold = await store.build((build) => build.key(urlOf(server)));
  const [warm, result] = await store.build(async (build) => [
    await build.key(urlOf(server)),
    await build.run(urlOf(server)),
  ]);
  assert.is(warm, cold);
  assert.equal(store.list(result), ['f.txt file 0600 0:0 0 "bytes"']);
  assert.equal(
    server.seen.map(({ method }) => method),
    ['GET', 'HEAD'],
    'one question in each build',
  );
});

http('a server that answers no HEAD is asked by GET', async () => {
  using store = new Store();
  await using server = await faultServer((request, response) => {
    response.setHeader('etag', '"1"');
    if (request.method === 'HEAD') response.writeHead(405).end();
    else if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
    else response.end('bytes');
  });
  const cold = await store.build((build) => build.key(urlOf(server)));
  assert.is(await store.build((build) => build.key(urlOf(server))), cold);
  assert.equal(
    server.seen.map(({ method }) => method),
    ['GET', 'HEAD', 'GET'],
  );
});

http('a full response with the known ETag means that the file is unchanged', async () => {
  using store = new Store();
  await using server = await faultServer(
    (_, response, count) => void response.setHeader('etag', '"1"').end(`bytes ${count}`),
  );
  const cold = await store.build((build) => build.key(urlOf(server)));
  assert.is(await store.build((build) => build.key(urlOf(server))), cold);
});

http('a changed file has another key and other bytes', async () => {
  using store = new Store();
  let version = 1;
  await using server = await faultServer(
    (_, response) => void response.setHeader('etag', `"${version}"`).end(`bytes ${version}`),
  );
  const cold = await store.build((build) => build.key(urlOf(server)));
  version = 2;
  const [warm, result] = await store.build(async (build) => [
    await build.key(urlOf(server)),
    await build.run(urlOf(server)),
  ]);
  assert.is.not(warm, cold);
  assert.equal(store.list(result), ['f.txt file 0600 0:0 0 "bytes 2"']);
});

http('without an ETag an old Last-Modified is used to ask for changes', async () => {
  using store = new Store();
  await using server = await faultServer((request, response) => {
    response.setHeader('last-modified', MODIFIED);
    if (request.headers['if-modified-since'] === MODIFIED) response.writeHead(304).end();
    else response.end('bytes');
  });
  const cold = await store.build((build) => build.key(urlOf(server)));
  assert.is(await store.build((build) => build.key(urlOf(server))), cold);
  assert.is(headers(server, 1)['if-modified-since'], MODIFIED);
});

http('a recent Last-Modified is not used to ask for changes', async () => {
  using store = new Store();
  const now = new Date().toUTCString();
  await using server = await faultServer(
    (_, response) => void response.setHeader('last-modified', now).end('bytes'),
  );
  await store.build((build) => build.key(urlOf(server)));
  await store.build((build) => build.key(urlOf(server)));
  assert.is(headers(server, 1)['if-modified-since'], undefined);
});

http('a file whose layer is gone is downloaded again', async () => {
  using store = new Store();
  await using server = await faultServer(
    (_, response) => void response.setHeader('etag', '"1"').end('bytes'),
  );
  await store.build((build) => build.key(urlOf(server)));
  store.snapshotter.has = () => false;
  await store.build((build) => build.key(urlOf(server)));
  assert.is(headers(server, 1)['if-none-match'], undefined);
});

http('two steps of a build that read the same URL make one request', async () => {
  using store = new Store();
  await using server = await faultServer((_, response) => void response.end('bytes'));
  await store.build((build) => Promise.all([build.key(urlOf(server)), build.key(urlOf(server))]));
  assert.is(server.seen.length, 1);
});

http('with a checksum the key needs no request', async () => {
  using store = new Store();
  const key = await store.build((build) =>
    build.key('http://127.0.0.1:1/f', { 'http.checksum': digestOf('bytes') }),
  );
  assert.match(key, digestOf('bytes'));
});

http('a wrong checksum is an error with both digests and leaves no layer', async () => {
  using store = new Store();
  await using server = await faultServer(
    (_, response) => void response.setHeader('etag', '"1"').end('other'),
  );
  const attrs = { 'http.checksum': digestOf('bytes') };
  const error = await failure(store.build((build) => build.run(urlOf(server), attrs)));
  assert.is(error.code, 'KILN_HTTP_CHECKSUM');
  assert.match(error.message, digestOf('bytes'));
  assert.match(error.message, digestOf('other'));
  assert.is(store.fetched.size, 0);
});

http('a file fetched without a checksum is used for one with its checksum', async () => {
  using store = new Store();
  await using server = await faultServer(
    (_, response) => void response.setHeader('etag', '"1"').end('bytes'),
  );
  await store.build((build) => build.run(urlOf(server)));
  await store.build((build) => build.run(urlOf(server), { 'http.checksum': digestOf('bytes') }));
  assert.is(server.seen.length, 1);
  const wrong = { 'http.checksum': digestOf('other') };
  assert.is(
    (await failure(store.build((build) => build.run(urlOf(server), wrong)))).code,
    'KILN_HTTP_CHECKSUM',
  );
});

http('a compressed body is decompressed', async () => {
  const tree = await once(
    (_, response) => void response.setHeader('content-encoding', 'gzip').end(gzipSync('bytes')),
  );
  assert.equal(tree, ['f.txt file 0600 0:0 0 "bytes"']);
});

http('a server may compress; a file that it begins to compress is the same file', async () => {
  let etag = '"plain"';
  await using server = await faultServer((_, response) => {
    const isPacked = etag === '"packed"';
    if (isPacked) response.setHeader('content-encoding', 'gzip');
    response.setHeader('etag', etag).end(isPacked ? gzipSync('bytes') : 'bytes');
  });
  using store = new Store();
  const first = await store.build((build) => build.run(urlOf(server)));
  etag = '"packed"';
  const second = await store.build((build) => build.run(urlOf(server)));
  assert.equal(store.list(second), store.list(first));
  assert.equal(
    server.seen.map(({ method, headers }) => [method, headers['accept-encoding']]),
    [
      ['GET', 'gzip'],
      ['HEAD', 'gzip'],
      ['GET', 'gzip'],
    ],
  );
});

http('a body that cannot be decompressed is KILN_HTTP_BODY', async () => {
  const work = once(
    (_, response) => void response.setHeader('content-encoding', 'gzip').end('no gzip'),
  );
  assert.is((await failure(work)).code, 'KILN_HTTP_BODY');
});

http('redirects are followed without the login', async () => {
  await using other = await faultServer((_, response) => void response.end('bytes'));
  await using server = await faultServer(
    (_, response) => void response.writeHead(302, { location: urlOf(other, '/x') }).end(),
  );
  using store = new Store();
  const url = urlOf(server).replace('http://', 'http://user:p%40ss@');
  const result = await store.build((build) => build.run(url));
  assert.equal(store.list(result), ['f.txt file 0600 0:0 0 "bytes"']);
  assert.is(
    headers(server, 0).authorization,
    `Basic ${Buffer.from('user:p@ss').toString('base64')}`,
  );
  assert.is(headers(other, 0).authorization, undefined);
});

http('a circle of redirects is an error', async () => {
  const error = await failure(
    once((request, response) => void response.writeHead(301, { location: request.path }).end()),
  );
  assert.is(error.code, 'KILN_HTTP_REDIRECT');
});

http('a redirect to a file of the host is refused', async () => {
  const work = once(
    (_, response) => void response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
  );
  assert.is((await failure(work)).code, 'KILN_HTTP_REDIRECT');
});

http('the error for a missing file has the status and not the login', async () => {
  await using server = await faultServer(
    (_, response) => void response.writeHead(404).end('no such thing'),
  );
  using store = new Store();
  const url = urlOf(server).replace('http://', 'http://user:hidden@');
  const error = await failure(store.build((build) => build.run(url)));
  assert.is(error.code, 'KILN_HTTP_STATUS');
  assert.match(error.message, /\/f\.txt: invalid response status 404: no such thing$/);
  assert.not.match(error.message, /hidden/);
  assert.is(server.seen.length, 1);
});

http('a busy server and a broken transfer are retried', async () => {
  const tree = await once((_, response, count) => {
    if (count === 1) response.writeHead(503).end();
    else if (count === 2) {
      response.setHeader('content-length', '10');
      response.write('half', () => response.destroy());
    } else response.end('the whole');
  });
  assert.equal(tree, ['f.txt file 0600 0:0 0 "the whole"']);
});

http('a refused connection is an error with a hint', async () => {
  using store = new Store();
  const error = await failure(store.build((build) => build.run('http://127.0.0.1:1/f')));
  assert.is(error.code, 'KILN_HTTP_UNREACHABLE');
});

http('a secret named after the host is sent as the Authorization header', async () => {
  await using server = await faultServer((_, response) => void response.end('bytes'));
  using store = new Store();
  const asked: string[] = [];
  const secret = async (id: string) => {
    asked.push(id);
    return id === 'HTTP_AUTH_TOKEN_127.0.0.1' ? Buffer.from('token\n') : undefined;
  };
  const key = await store.build((build) => build.key(urlOf(server)), { secret });
  assert.is(headers(server, 0).authorization, 'Bearer token');
  assert.not.match(key, /token/);
  assert.equal(asked, ['HTTP_AUTH_TOKEN_127.0.0.1']);
});

http('a signature that the graph wants verified is refused, as nobody verifies it', async () => {
  using store = new Store();
  const attrs = { 'http.sig.pubkey': 'a key', 'http.sig.signature': 'a signature' };
  const build = async () => store.build((one) => one.run('http://127.0.0.1:1/f', attrs));
  assert.is((await failure(build())).code, 'KILN_SOURCE_UNSUPPORTED');
});

http('a missing secret that the graph names is an error', async () => {
  using store = new Store();
  const attrs = { 'http.authheadersecret': 'mine' };
  const error = await failure(store.build((build) => build.run('http://127.0.0.1:1/f', attrs)));
  assert.is(error.code, 'KILN_SECRET_NOT_FOUND');
});

http('a cancelled download rejects and leaves no layer behind', async () => {
  using store = new Store();
  const cancel = new AbortController();
  await using server = await faultServer((_, response) => {
    response.write('first');
    cancel.abort();
  });
  await store.build(async (build) => {
    const context = { signal: cancel.signal, progress: () => {}, vertex: digestOf('v') };
    const error = await failure(Promise.resolve(build.op(urlOf(server)).run([], context)));
    assert.is(error.code, 'KILN_CANCELLED');
  });
  assert.is(store.fetched.size, 0);
});

http('what a client uploads is asked of the client, and has the key of its bytes', async () => {
  using store = new Store();
  const asked: string[] = [];
  const upload = async (url: string) => {
    asked.push(url);
    return Buffer.from('an archive');
  };
  const url = 'http://buildkit-session/1234';
  const attrs = { 'http.filename': 'context' };
  const key = store.build((build) => build.key(url, attrs), { upload });
  assert.match(await key, digestOf('an archive'));
  assert.equal(asked, [url]);
  // Another upload may have other bytes, so the next build asks again. A pipe is read once.
  await store.build(
    async (build) => {
      await build.key(url, attrs);
      assert.match(store.list(await build.run(url, attrs)).join(), /context/);
    },
    { upload },
  );
  assert.is(asked.length, 2);
  const error = await failure(
    store.build((build) => build.run(url, attrs), { upload: async () => undefined }),
  );
  assert.is(error.code, 'KILN_HTTP_BODY');
});

http.run();
