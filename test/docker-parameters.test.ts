import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DockerRig } from './docker-rig.ts';

/*
 * The parameters of `POST /build` as Docker documents them, and what each of them does here.
 */

/** A request, and what is looked for in its answer or in the image `made`. */
interface Row {
  readonly query: string;
  /** The steps after `FROM busybox`. */
  readonly steps?: string;
  /** Is in the answer. */
  readonly says?: RegExp;
  /** Is not in the answer. */
  readonly hides?: RegExp;
  /** The exit of the request: 200 unless it says something else. */
  readonly status?: number;
  readonly image?: (about: About) => unknown;
}

interface About {
  readonly Config: { readonly Labels?: Readonly<Record<string, string>> };
  readonly RootFS: { readonly Layers: readonly string[] };
  readonly Architecture: string;
}

const json = (value: unknown) => encodeURIComponent(JSON.stringify(value));
/** Nothing answers there. */
const NOWHERE = '127.0.0.1:1';

/** Each has a name: that of the parameter. */
const ROWS: readonly (Row & { readonly name: string })[] = [
  {
    name: 'buildargs',
    query: `buildargs=${json({ A: 'given' })}`,
    steps: 'ARG A=not\nRUN echo "A is $A"',
    says: /A is given/,
  },
  {
    name: 'labels',
    query: `labels=${json({ l: 'm' })}`,
    image: ({ Config }) => assert.equal(Config.Labels, { l: 'm' }),
  },
  {
    name: 'target',
    query: 'target=one',
    steps: 'RUN echo none\nFROM busybox AS one\nRUN echo first\nFROM busybox\nRUN echo second',
    says: /echo first/,
    hides: /echo second/,
  },
  {
    name: 'platform',
    query: 'platform=linux/arm64',
    steps: 'RUN true\nFROM scratch\nARG TARGETPLATFORM\nCOPY Dockerfile /$TARGETPLATFORM',
    image: ({ Architecture }) => assert.is(Architecture, 'arm64'),
  },
  { name: 'no nocache', query: '', steps: 'RUN echo is-$((40+2))', says: /is-42/ },
  { name: 'no nocache, again', query: '', steps: 'RUN echo is-$((40+2))', hides: /is-42/ },
  { name: 'nocache', query: 'nocache=1', steps: 'RUN echo is-$((40+2))', says: /is-42/ },
  { name: 'no pull', query: '', steps: `FROM ${NOWHERE}/box\nRUN true`, says: /Successfully/ },
  {
    name: 'pull',
    query: 'pull=1',
    status: 500,
    steps: `FROM ${NOWHERE}/box\nRUN true`,
    says: /127\.0\.0\.1:1/,
    hides: /Successfully/,
  },
  {
    name: 'cachefrom',
    query: `cachefrom=${json([`${NOWHERE}/cache`])}`,
    steps: 'RUN true',
    says: /127\.0\.0\.1:1\/cache/,
  },
  {
    name: 'networkmode=none',
    query: 'networkmode=none',
    steps: 'RUN echo "has:" $(ls /sys/class/net | grep -cv "^lo$")',
    says: /has: 0/,
  },
  { name: 'networkmode=host', query: 'networkmode=host', status: 403, says: /network\.host/ },
  { name: 'networkmode=web', query: 'networkmode=web', status: 400, says: /no networks/ },
  {
    name: 'extrahosts',
    query: 'extrahosts=db:10.0.0.7',
    steps: 'RUN cat /etc/hosts',
    says: /10\.0\.0\.7\s+db/,
  },
  {
    name: 'shmsize',
    query: `shmsize=${3 << 20}`,
    steps: 'RUN grep /dev/shm /proc/mounts',
    says: /size=3072k/,
  },
  {
    name: 'ulimits',
    query: `ulimits=${json([{ Name: 'nofile', Soft: 111, Hard: 222 }])}`,
    steps: 'RUN echo "files: $(ulimit -n)"',
    says: /files: 111/,
  },
  {
    name: 'squash',
    query: 'squash=1',
    steps: 'RUN echo 1 > /1\nRUN echo 2 > /2',
    image: ({ RootFS }) => assert.is(RootFS.Layers.length, 2),
  },
  {
    name: 'no squash',
    query: '',
    steps: 'RUN echo 1 > /1\nRUN echo 2 > /2',
    image: ({ RootFS }) => assert.is(RootFS.Layers.length, 3),
  },
  {
    name: 'outputs: an image',
    query: `outputs=${json([{ Type: 'moby', Attrs: {} }])}`,
    image: ({ RootFS }) => assert.is(RootFS.Layers.length, 1),
  },
  {
    name: 'outputs: only the cache',
    query: `outputs=${json([{ Type: 'cacheonly' }])}`,
    hides: /Successfully tagged/,
  },
  {
    name: 'outputs: to a client',
    query: `outputs=${json([{ Type: 'tar' }])}`,
    status: 400,
    says: /needs a client that receives it/,
  },
  { name: 'q', query: 'q=1', steps: 'RUN echo quiet', says: /sha256:[0-9a-f]{64}/, hides: /quiet/ },
  { name: 'dockerfile', query: 'dockerfile=other', says: /echo from other/ },
  { name: 't', query: 't=second:1', image: () => {}, says: /Successfully tagged second:1/ },
  // No container of a step is kept, whatever these say.
  { name: 'rm', query: 'rm=0&forcerm=1', image: () => {} },
  // The limits of steps are those of executor/limits.test.ts, and here they are only accepted.
  {
    name: 'memory and cpu*',
    query:
      'memory=268435456&memswap=536870912&cpushares=512&cpuperiod=100000&cpuquota=50000' +
      '&cpusetcpus=0',
    steps: 'RUN grep Cpus_allowed_list /proc/self/status',
    says: /Cpus_allowed_list:\s*0\b/,
  },
  { name: 'memory that is no number', query: 'memory=much', status: 400, says: /memory/ },
  { name: 'cgroupparent', query: 'cgroupparent=', image: () => {} },
];

/** What a client shows of an answer. */
function textOf(documents: string): string {
  return documents
    .trim()
    .split('\n')
    .map((line) => {
      const { stream, error, message } = JSON.parse(line);
      return stream ?? error ?? message ?? '';
    })
    .join('');
}

test('each parameter of a classic build does what Docker says', async () => {
  await using rig = await DockerRig.create(['busybox']);
  const { rig: place } = rig.serve;
  await rig.docker(`tag busybox ${NOWHERE}/box`);
  for (const { name, query, steps = '', says, hides, status = 200, image } of ROWS) {
    place.write('c', {
      Dockerfile: `FROM busybox\n${steps}\n`,
      other: 'FROM busybox\nRUN echo from other\n',
    });
    await rig.docker('rmi -f made').catch(() => {});
    const body = execFileSync('tar', ['-c', '-C', place.path('c'), '.']);
    const answer = await rig.ask('POST', `/build?t=made&${query}`, { body });
    assert.is(answer.status, status, `${name}: ${answer.text}`);
    const said = textOf(answer.text);
    if (says) assert.match(said, says, name);
    if (hides) assert.not.match(said, hides, name);
    if (!image) continue;
    const about = await rig.ask('GET', '/images/made/json');
    assert.is(about.status, 200, `${name}: ${answer.text}`);
    image(JSON.parse(about.text));
  }
  assert.not.match(rig.serve.printed, /ERROR/);
});

test('remote: the context is an archive, or a Dockerfile alone, at a URL', async () => {
  await using rig = await DockerRig.create(['busybox']);
  const { rig: place } = rig.serve;
  place.write('c', { Dockerfile: 'FROM busybox\nCOPY a /\nRUN cat /a\n', a: 'of the archive' });
  const files: Readonly<Record<string, Buffer>> = {
    '/c.tar': execFileSync('tar', ['-c', '-C', place.path('c'), '.']),
    '/Dockerfile': Buffer.from('FROM busybox\nRUN echo alone\n'),
  };
  const server = createServer(({ url = '' }, response) => {
    response.writeHead(files[url] ? 200 : 404).end(files[url]);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const built = async (path: string) =>
      (await rig.ask('POST', `/build?remote=http://127.0.0.1:${port}${path}`)).text;
    assert.match(await built('/c.tar'), 'of the archive');
    assert.match(await built('/Dockerfile'), 'alone');
    assert.match(await built('/missing'), /404/);
  } finally {
    server.close();
  }
});

test.run();
