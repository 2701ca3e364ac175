import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { KilnError, type SourcePlace } from '../../base/errors.ts';
import { failure } from '../../base/testing/failure.ts';
import { VertexError } from '../../solver/failure.ts';
import { ofFrontend } from './failed-frontend.ts';
import { errorStatus } from './grpc-status.ts';
import { MissingSubrequest } from './missing-cap.ts';

const text = 'FROM scratch\nRUN wh\\\nat\n';
const placed = (start: number, end: number): SourcePlace => ({
  kind: 'source',
  source: { name: 'Dockerfile', text },
  start: { line: start, column: 0 },
  end: { line: end, column: 0 },
});

/** The details of an error by the ends of their names. */
function details(error: KilnError): Record<string, Record<string, unknown>> {
  return Object.fromEntries(
    errorStatus(error).details.map(({ typeUrl, value }) => [
      typeUrl.replace('github.com/moby/buildkit/', '').replace('+json', ''),
      JSON.parse(Buffer.from(value).toString()),
    ]),
  );
}

test('each line of an instruction is a range of its own, as clients of BuildKit count them', () => {
  const { 'errdefs.Source': source } = details(
    new KilnError('KILN_STEP_FAILED', 'no', { place: placed(2, 3) }),
  );
  assert.equal(source, {
    info: {
      filename: 'Dockerfile',
      data: Buffer.from(text).toString('base64'),
      definition: {},
      language: 'Dockerfile',
    },
    ranges: [
      { start: { line: 2 }, end: { line: 2 } },
      { start: { line: 3 }, end: { line: 3 } },
    ],
  });
  const long = new KilnError('KILN_STEP_FAILED', 'no', { place: placed(1, 100_000) });
  assert.equal(details(long)['errdefs.Source']!['ranges'], [
    { start: { line: 1 }, end: { line: 100_000 } },
  ]);
});

test('sentences have the words that clients of BuildKit look for', () => {
  const vertex = { digest: digestOf('copy'), name: 'COPY x /' };
  const missing = new KilnError('KILN_COPY_SOURCE_MISSING', '"/x": not found');
  const failed = missing.with({ cause: new VertexError(vertex, missing) });
  assert.match(
    errorStatus(failed).message,
    /^failed to compute cache key: failed to calculate checksum of ref \S+ "\/x": not found/,
  );
  assert.equal(details(failed)['errdefs.Vertex'], { digest: vertex.digest });
  const unknown = new KilnError('KILN_DOCKERFILE_UNKNOWN_INSTRUCTION', 'unknown instruction: X', {
    place: placed(2, 2),
  });
  assert.match(errorStatus(unknown).message, /^dockerfile parse error on line 2: unknown/);
});

test('a question that is not answered is named', () => {
  const cause = new MissingSubrequest('frontend.x');
  const error = new KilnError('KILN_REQUEST_UNSUPPORTED', 'unsupported request', { cause });
  assert.equal(details(error)['errdefs.Subrequest'], { name: 'frontend.x' });
});

test('an error tells where the innermost cause was made, and nothing of where Kiln is', () => {
  function innermost() {
    return new Error('inner');
  }
  const error = new KilnError('KILN_STEP_FAILED', 'no', { cause: innermost() });
  const { pid, frames } = details(error)['stack.Stack'] as {
    readonly pid: number;
    readonly frames: readonly { readonly Name: string; File: string; Line: number }[];
  };
  assert.is(pid, process.pid);
  assert.match(frames[0]!.Name, /innermost/);
  assert.is(frames[0]!.File, 'grpc/grpc-status.test.ts');
  assert.ok(frames[0]!.Line > 0);
  assert.not(JSON.stringify(frames).includes(process.cwd()));
});

test('a frontend that failed is named, with its image', async () => {
  const fail = async () => {
    throw new KilnError('KILN_FRONTEND_FAILED', 'no');
  };
  const error = await failure(ofFrontend('gateway.v0', 'example.com/f', fail));
  assert.equal(details(error)['errdefs.Frontend'], {
    name: 'gateway.v0',
    source: 'example.com/f',
  });
});

test.run();
