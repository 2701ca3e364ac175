/**
 * The builder, as a frontend sees it. Standard input and output are one HTTP/2 connection, on which
 * the frontend is the client of the gRPC service moby.buildkit.v1.frontend.LLBBridge.
 */
import { connect } from 'node:http2';
import { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { PbfReader } from 'pbf';
import { message } from './graph.ts';

const stdio = Duplex.from({ readable: process.stdin, writable: process.stdout });
export const session = connect('http://localhost', { createConnection: () => stdio });

/** The options of the build: `filename`, `target`, `build-arg:NAME`, … */
export const options: ReadonlyMap<string, string> = new Map(
  Object.entries(process.env)
    .filter(([name]) => name.startsWith('BUILDKIT_FRONTEND_OPT_'))
    .map(([, option = '']) => option.split(/=(.*)/s, 2) as [string, string]),
);

/** Calls a method. Returns the fields of its answer that are bytes or messages, by number. */
export async function call(method: string, request: Uint8Array): Promise<Map<number, Uint8Array>> {
  const path = `/moby.buildkit.v1.frontend.LLBBridge/${method}`;
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc' };
  const stream = session.request({ ...headers, te: 'trailers' });
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(request.length, 1);
  const trailers: Record<string, unknown> = {};
  for (const event of ['response', 'trailers'])
    stream.on(event, (more) => Object.assign(trailers, more));
  stream.end(Buffer.concat([prefix, request]));
  const body = await buffer(stream);
  if (trailers['grpc-status'] === '0') return fieldsOf(body.subarray(5));
  throw new Error(decodeURIComponent(String(trailers['grpc-message'] ?? `${method} failed`)));
}

export function fieldsOf(bytes: Uint8Array): Map<number, Uint8Array> {
  const read = (field: number, found: Map<number, Uint8Array>, pbf: PbfReader) => {
    if (pbf.type === 2) found.set(field, pbf.readBytes());
  };
  return new PbfReader(bytes).readFields(read, new Map());
}

/** Solves a graph. Returns the Ref of its result, a message that is sent back as it is. */
export async function solve(graph: Uint8Array): Promise<Uint8Array> {
  const answer = await call('Solve', message([1, graph], [5, 1], [6, 1]));
  return fieldsOf(answer.get(3)!).get(3)!;
}

/** Returns the Result that `build` makes, or its error, and ends the process. */
export async function serve(build: () => Promise<Uint8Array>): Promise<never> {
  const failed = (error: Error) => message([2, message([1, 2], [2, error.message])]);
  const result = async () => message([1, await build()]);
  await call('Return', await result().catch(failed));
  session.close();
  process.exit();
}
