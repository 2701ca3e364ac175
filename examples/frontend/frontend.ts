/**
 * A frontend for BuildKit and Kiln, which turns a build file in YAML into a graph (LLB).
 *
 * The builder starts it in a sandbox. Its standard input and output are one HTTP/2 connection, on
 * which it is the client of the gRPC service moby.buildkit.v1.frontend.LLBBridge. Fields of
 * messages are numbered as in BuildKit's gateway.proto.
 */
import { connect } from 'node:http2';
import { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { PbfReader } from 'pbf';
import { parse } from 'yaml';
import { copied, definitionOf, executed, local, message, source } from './graph.ts';

const stdio = Duplex.from({ readable: process.stdin, writable: process.stdout });
const session = connect('http://localhost', { createConnection: () => stdio });

/** Calls a method. Returns the fields of its answer that are bytes or messages, by number. */
async function call(method: string, request: Uint8Array): Promise<Map<number, Uint8Array>> {
  const path = `/moby.buildkit.v1.frontend.LLBBridge/${method}`;
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc' };
  const stream = session.request({ ...headers, te: 'trailers' });
  const [prefix, trailers] = [Buffer.alloc(5), {} as Record<string, unknown>];
  prefix.writeUInt32BE(request.length, 1);
  for (const event of ['response', 'trailers'])
    stream.on(event, (more) => Object.assign(trailers, more));
  stream.end(Buffer.concat([prefix, request]));
  const body = await buffer(stream);
  if (trailers['grpc-status'] === '0') return fieldsOf(body.subarray(5));
  throw new Error(decodeURIComponent(String(trailers['grpc-message'] ?? `${method} failed`)));
}

function fieldsOf(bytes: Uint8Array): Map<number, Uint8Array> {
  const read = (field: number, found: Map<number, Uint8Array>, pbf: PbfReader) => {
    if (pbf.type === 2) found.set(field, pbf.readBytes());
  };
  return new PbfReader(bytes).readFields(read, new Map());
}

/** Solves a graph. Returns the Ref of its result, a message that is sent back as it is. */
async function solve(graph: Uint8Array): Promise<Uint8Array> {
  const answer = await call('Solve', message([1, graph], [5, 1], [6, 1]));
  return fieldsOf(answer.get(3)!).get(3)!;
}

async function build(): Promise<Uint8Array> {
  const options = new Map(
    Object.entries(process.env)
      .filter(([name]) => name.startsWith('BUILDKIT_FRONTEND_OPT_'))
      .map(([, option = '']) => option.split(/=(.*)/s, 2) as [string, string]),
  );
  const filename = options.get('filename') ?? 'build.yaml';
  const directory = await solve(definitionOf(local('dockerfile', [filename])));
  const id = fieldsOf(directory).get(1)!;
  const read = await call('ReadFile', message([1, id], [2, filename]));
  const file = parse(Buffer.from(read.get(1)!).toString());
  const base = await call('ResolveImageConfig', message([1, file.base]));
  const image = JSON.parse(Buffer.from(base.get(2)!).toString());
  image.config = { ...image.config, ...file.config };
  let tree = source(`docker-image://${file.base}`);
  for (const [from, to] of Object.entries<string>(file.copy ?? {}))
    tree = copied(tree, local('context'), from, to);
  for (const command of file.run ?? []) tree = executed(tree, command, image.config.Env ?? []);
  const config = message([1, 'containerimage.config'], [2, JSON.stringify(image)]);
  return message([1, message([3, await solve(definitionOf(tree))], [10, config])]);
}

const failure = (error: Error) => message([2, message([1, 2], [2, error.message])]);
await call('Return', await build().catch(failure));
session.close();
process.exit();
