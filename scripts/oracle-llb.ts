/*
 * Records the graph and image config that Docker's BuildKit makes of the Dockerfiles in
 * frontend/convert/testdata/cases.ts, and saves them beside the cases. buildx sends the result of
 * the frontend back to the engine (LLBBridge/Return). So a proxy on the engine's socket sees the
 * whole definition, with session id, capabilities, names and source locations. Whether the build
 * then succeeds does not matter.
 *
 *   node scripts/oracle-llb.ts --docker-socket PATH [--peer 'COMMAND PREFIX'] \
 *                              [--peer-root PREFIX] [CASE...]
 *
 * PATH is the path of the engine's socket on this machine. COMMAND PREFIX is put before `docker`,
 * such as the command that enters its container. PREFIX is put before paths of this machine when
 * docker runs in another root directory, such as `/host`.
 */
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { digestOf } from '../base/digest.ts';
import {
  BASES,
  CASES,
  type OracleCase,
  type OracleOptions,
} from '../frontend/convert/testdata/cases.ts';
import { definitionJson, toDefinition } from '../solver/llb/definition.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import { parseDefinition } from '../solver/llb/parse.ts';
import { asBytes, asText, readFields } from '../solver/llb/wire.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peer: { type: 'string', default: '' },
    'peer-root': { type: 'string', default: '' },
    'docker-socket': { type: 'string' },
  },
});
const prefix = values.peer.split(' ').filter(Boolean);
const out = path.join(import.meta.dirname, '../frontend/convert/testdata');
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'oracle-llb-'));
const socket = path.join(work, 'engine.sock');

interface Image {
  readonly digest: string;
  readonly config: unknown;
}

async function main(): Promise<void> {
  if (!values['docker-socket']) throw new Error('--docker-socket is needed');
  const images = buildBases();
  const selected = CASES.filter(
    (one) => positionals.length === 0 || positionals.includes(one.name),
  );
  for (const one of selected) {
    const golden = await record(one, images);
    if (!golden) continue;
    fs.writeFileSync(path.join(out, `${one.name}.golden`), `${JSON.stringify(golden, null, 1)}\n`);
    console.log(`${one.name}: ${golden.targets.map((t) => `${t.ops.length} ops`).join(', ')}`);
  }
}

/** Runs docker with the command prefix. Returns its standard output. */
function docker(args: readonly string[], input?: string): string {
  const [command = 'docker', ...rest] = [...prefix, 'docker', ...args];
  const done = spawnSync(command, rest, { encoding: 'utf8', input, maxBuffer: 1 << 28 });
  if (done.status !== 0) throw new Error(`docker ${args.join(' ')}: ${done.stderr}`);
  return done.stdout;
}

const seenByPeer = (file: string): string => values['peer-root'] + file;

/** Builds the base images in the engine's store. Their bytes are the same each time. */
function buildBases(): Record<string, Image> {
  const context = path.join(work, 'base');
  fs.mkdirSync(context);
  fs.writeFileSync(path.join(context, 'file'), 'file\n');
  fs.utimesSync(path.join(context, 'file'), 0, 0);
  return Object.fromEntries(
    Object.entries(BASES).map(([name, { dockerfile, platform }]) => {
      fs.writeFileSync(path.join(context, 'Dockerfile'), dockerfile);
      const options = [
        '--provenance=false',
        '--build-arg',
        'SOURCE_DATE_EPOCH=0',
        ...(platform ? ['--platform', platform] : []),
      ];
      docker(['buildx', 'build', '-q', ...options, '-t', name, seenByPeer(context)]);
      return [`docker.io/${name}`, savedImage(name)];
    }),
  );
}

function savedImage(name: string): Image {
  const tar = path.join(work, 'image.tar');
  docker(['save', '-o', seenByPeer(tar), name]);
  const read = (file: string) =>
    JSON.parse(spawnSync('tar', ['-xOf', tar, file], { encoding: 'utf8' }).stdout);
  const blob = (digest: string) => read(`blobs/sha256/${digest.slice(7)}`);
  const { digest } = read('index.json').manifests[0];
  return { digest, config: blob(blob(digest).config.digest) };
}

async function record(
  { name, dockerfile, options = {} }: OracleCase,
  images: Record<string, Image>,
) {
  const context = path.join(work, name);
  fs.mkdirSync(context);
  fs.writeFileSync(path.join(context, 'Dockerfile'), dockerfile);
  if (options.ignore)
    fs.writeFileSync(path.join(context, '.dockerignore'), `${options.ignore.join('\n')}\n`);
  const streams = await listen(async () => {
    const env = ['env', `DOCKER_HOST=unix://${seenByPeer(socket)}`];
    const args = [
      'docker',
      'buildx',
      'build',
      '--progress=plain',
      '--provenance=false',
      '--output',
      'type=cacheonly',
      ...flags(options, context),
      seenByPeer(context),
    ];
    await run([...prefix, ...env, ...args]);
  });
  const answer = streams
    .flatMap(grpcMessages)
    .map(readReturn)
    .find((found) => found !== undefined);
  if (!answer) {
    console.log(`${name}: no result; run with ORACLE_VERBOSE=1 to see why`);
    return undefined;
  }
  const used = Object.entries(images).filter(([image]) => mentions(dockerfile, options, image));
  return {
    name,
    dockerfile,
    options,
    images: Object.fromEntries(used),
    session: sessionOf(answer.targets),
    targets: answer.targets,
  };
}

function mentions(dockerfile: string, options: OracleOptions, image: string): boolean {
  const short = image.replace('docker.io/', '').replace(/:.*/, '');
  return (
    `${dockerfile}${JSON.stringify(options)}`.includes(short) ||
    (short === 'oracle/plain' && dockerfile.includes('onbuildfrom'))
  );
}

function flags(options: OracleOptions, context: string): string[] {
  const many = (flag: string, list: readonly string[] = []): string[] =>
    list.flatMap((value) => [flag, value]);
  const pairs = (map: Readonly<Record<string, string>> = {}): string[] =>
    Object.entries(map).map(([k, v]) => `${k}=${v}`);
  const contexts = Object.entries(options.contexts ?? {}).map(([key, value]) => {
    if (value !== 'local') return `${key}=${value}`;
    const dir = `${context}-${key}`;
    fs.mkdirSync(dir);
    return `${key}=${seenByPeer(dir)}`;
  });
  return [
    ...(options.target ? ['--target', options.target] : []),
    ...many('--build-arg', pairs(options.buildArgs)),
    ...many('--label', pairs(options.labels)),
    ...(options.platforms ? ['--platform', options.platforms.join(',')] : []),
    ...(options.network ? ['--network', options.network] : []),
    ...(options.noCache === 'all' ? ['--no-cache'] : many('--no-cache-filter', options.noCache)),
    ...(options.pull ? ['--pull'] : []),
    ...many('--add-host', options.addHosts),
    ...many('--ulimit', options.ulimits),
    ...(options.shmSize ? ['--shm-size', options.shmSize] : []),
    ...(options.cgroupParent ? ['--cgroup-parent', options.cgroupParent] : []),
    ...many('--build-context', contexts),
    '--allow',
    'network.host',
  ];
}

/** Runs a command and ignores its exit code: the definition is sent before a step can fail. */
function run([command = '', ...args]: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'ignore', process.env['ORACLE_VERBOSE'] ? 'inherit' : 'ignore'],
    });
    child.on('error', reject);
    child.on('exit', () => resolve());
  });
}

/**
 * Forwards all connections to the engine while `work` runs. Returns the bytes that clients sent,
 * for each connection.
 */
async function listen(work: () => Promise<void>): Promise<Buffer[]> {
  const streams: Buffer[][] = [];
  const server = net.createServer((client) => {
    const engine = net.connect(values['docker-socket'] as string);
    const chunks: Buffer[] = [];
    streams.push(chunks);
    client.on('data', (chunk: Buffer) => chunks.push(chunk));
    client.on('error', () => engine.destroy());
    engine.on('error', () => client.destroy());
    client.pipe(engine).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  try {
    await work();
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
  return streams.map((chunks) => Buffer.concat(chunks));
}

/** Returns the gRPC messages in the client's half of an HTTP/2 connection. */
function grpcMessages(stream: Buffer): Buffer[] {
  const preface = stream.indexOf('PRI * HTTP/2.0');
  if (preface < 0) return [];
  const bodies = new Map<number, Buffer[]>();
  for (let at = preface + 24; at + 9 <= stream.length; ) {
    const length = stream.readUIntBE(at, 3);
    const id = stream.readUInt32BE(at + 5) & 0x7fffffff;
    if (stream[at + 3] === 0)
      bodies.set(id, [...(bodies.get(id) ?? []), stream.subarray(at + 9, at + 9 + length)]);
    at += 9 + length;
  }
  return [...bodies.values()].flatMap((parts) => {
    const body = Buffer.concat(parts);
    const messages: Buffer[] = [];
    for (let at = 0; at + 5 <= body.length; ) {
      const length = body.readUInt32BE(at + 1);
      messages.push(body.subarray(at + 5, at + 5 + length));
      at += 5 + length;
    }
    return messages;
  });
}

const all = (message: Uint8Array, number: number): Uint8Array[] =>
  [...readFields(message)].filter((f) => f.number === number).map(asBytes);
const key = (entry: Uint8Array): string =>
  [...readFields(entry)].filter((f) => f.number === 1).map(asText)[0] ?? '';
const value = (entry: Uint8Array): Uint8Array => all(entry, 2)[0] ?? new Uint8Array();

/** Parses moby.buildkit.v1.frontend.ReturnRequest. Returns undefined for any other message. */
function readReturn(message: Buffer) {
  if (!message.includes('containerimage.config')) return undefined;
  const result = all(message, 1)[0];
  if (!result) return undefined;
  const metadata = new Map(
    all(result, 10).map((entry) => [key(entry), Buffer.from(value(entry)).toString()] as const),
  );
  const refs = new Map(
    all(result, 4)
      .flatMap((map) => all(map, 1))
      .map((entry) => [key(entry), value(entry)] as const),
  );
  if (metadata.has('containerimage.config')) refs.set('', all(result, 3)[0] ?? new Uint8Array());
  for (const id of metadata.keys()) {
    const platform = /^containerimage\.config\/(.*)$/.exec(id)?.[1];
    if (platform !== undefined && !refs.has(platform)) refs.set(platform, new Uint8Array());
  }
  if (refs.size === 0) return undefined;
  const targets = [...refs]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([platform, ref]) => {
      const {
        rootfs: _rootfs,
        created: _created,
        ...config
      } = JSON.parse(metadata.get(`containerimage.config${platform && `/${platform}`}`) ?? '{}');
      const [definition] = all(ref, 2);
      const edge = definition && parseDefinition(definition);
      if (edge && definition) checkWhole(definition, edge);
      return {
        platform,
        config,
        result: edge && `${edge.vertex.digest}:${edge.output}`,
        ops: definitionJson(edge),
      };
    });
  return { targets };
}

/**
 * Checks what the saved results do not contain: the order of the definition, and the metadata of
 * its last entry. Both must be equal to those that Kiln writes.
 */
function checkWhole(definition: Uint8Array, edge: LlbEdge): void {
  const ours = toDefinition(edge);
  const order = (def: readonly Uint8Array[]): string => def.map((op) => digestOf(op)).join('\n');
  if (order(all(definition, 1)) !== order(ours.def))
    throw new Error('the order of the definition differs');
  const result = digestOf(ours.def.at(-1) as Uint8Array);
  const entry = all(definition, 2).find((one) => key(one) === result);
  const caps = entry ? all(value(entry), 5).map(key).sort() : [];
  const expected = [...(ours.metadata.get(result)?.caps ?? [])].sort();
  if (caps.join() !== expected.join())
    throw new Error(`the result's capabilities are ${caps}, not ${expected}`);
}

function sessionOf(targets: NonNullable<ReturnType<typeof readReturn>>['targets']): string {
  for (const { op } of targets.flatMap((target) => target.ops)) {
    if (op.kind === 'source' && op.source.attrs['local.session'])
      return op.source.attrs['local.session'];
  }
  return '';
}

try {
  await main();
} finally {
  fs.rmSync(work, { recursive: true, force: true });
}
