import { isUtf8 } from 'node:buffer';
import { KilnError } from '../../base/errors.ts';
import { readUpTo } from '../read-stream.ts';
import { standardInput } from '../stdin.ts';

/** The limit of a message, which a graph is a part of. */
const MAX_GRAPH = 16 << 20;

/** Reads a pb.Definition from standard input. Throws KILN_USAGE when there is none. */
export async function readGraph(signal: AbortSignal): Promise<Buffer> {
  if (process.stdin.isTTY) throw usage('please specify --frontend or pipe LLB definition to stdin');
  const bytes = await readUpTo(standardInput(), MAX_GRAPH, signal);
  if (!bytes) throw usage(`the graph on standard input has more than ${MAX_GRAPH} bytes`);
  if (bytes.byteLength === 0)
    throw usage('empty definition sent to build. Specify --frontend instead?');
  if (isUtf8(bytes) && bytes.toString().startsWith('FROM '))
    throw usage('standard input is a Dockerfile and no graph: give it by --frontend and --local');
  return bytes;
}

function usage(message: string): KilnError {
  return new KilnError('KILN_USAGE', message, { exitCode: 2 });
}
