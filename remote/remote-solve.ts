import { randomBytes } from 'node:crypto';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { InnerClient } from '../api/grpc/inner-client.ts';
import { type InnerMethods, pathOf } from '../api/grpc/inner-server.ts';
import {
  Control,
  type SolveRequestSchema,
  StatusRequestSchema,
  StatusResponseSchema,
} from '../api/proto/control.gen.ts';
import { messageOf } from '../base/errors.ts';
import type { ProgressSink } from '../base/progress.ts';
import type { OpenServer } from './open-server.ts';
import { OutputEnds } from './output-ends.ts';
import { ProgressReader } from './progress-events.ts';
import { serverError } from './server-error.ts';
import { openSession, type SessionNames } from './session-stream.ts';
import { errorToldLater } from './told-later.ts';

type SolveFields = Extract<
  MessageInitShape<typeof SolveRequestSchema>,
  { readonly $typeName?: never }
>;

/** A build as a server of BuildKit's API is asked for it. */
export interface RemoteSolve {
  readonly request: Omit<SolveFields, 'ref' | 'session'>;
  /** What the server may ask for meanwhile. */
  readonly answers: InnerMethods;
  readonly lender: Omit<SessionNames, 'id'>;
  /** Drives the build in the place of a frontend: it is called with the name of the build. */
  readonly drive?: ((ref: string, signal: AbortSignal) => Promise<void>) | undefined;
}

export interface RemoteSolved {
  /** The name of the build at the server, such as for its history. */
  readonly ref: string;
  /** What the exporters tell. */
  readonly response: Readonly<Record<string, string>>;
}

/** After the build the server has so long to tell the rest of the progress, in milliseconds. */
const LAST_PROGRESS_MS = 3_000;
/** The name of a build is so many bytes at random. */
const REF_BYTES = 16;

/**
 * Has a server build something, and lends it what it asks for. Rejects with a KilnError for what
 * the server says, and with a CancelledError after `signal` was aborted. When the promise settles,
 * nothing is lent any more.
 */
export async function remoteSolve(
  { client, again }: Pick<OpenServer, 'client' | 'again'>,
  { request, answers, lender, drive }: RemoteSolve,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<RemoteSolved> {
  const ref = randomBytes(REF_BYTES).toString('hex');
  const id = randomBytes(REF_BYTES).toString('hex');
  const ends = new OutputEnds();
  const over = new AbortController();
  const watching = watch(
    client,
    ref,
    (event) => {
      ends.event(event);
      progress(event);
    },
    over.signal,
  );
  const end = async () => {
    const late = setTimeout(() => over.abort(), LAST_PROGRESS_MS);
    await watching;
    clearTimeout(late);
  };
  try {
    using _session = openSession(client, { ...lender, id }, answers);
    const solving = client.unary(Control.method.solve, { ...request, ref, session: id }, signal);
    const driving = drive?.(ref, signal);
    // The error of the build says more than that of what drives it.
    driving?.catch(() => {});
    const { exporterResponse } = await solving;
    await driving;
    await end();
    return { ref, response: exporterResponse };
  } catch (error) {
    // The output of the step that failed may come after the error.
    await end();
    const isLost =
      !signal.aborted && error instanceof ConnectError && error.code === Code.Unavailable;
    throw serverError((isLost && (await toldAgain(again, ref))) || error, ends.of, signal);
  }
}

/** What went wrong in a build whose answer was lost, as far as the server says it. */
async function toldAgain(
  again: OpenServer['again'],
  ref: string,
): Promise<ConnectError | undefined> {
  try {
    using server = await again();
    return await errorToldLater(server.client, ref);
  } catch {
    // That the connection broke is all there is to tell.
    return undefined;
  }
}

/** Tells the progress of a build until it ends. Never rejects: without it, the build goes on. */
async function watch(
  server: InnerClient,
  ref: string,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<void> {
  const reader = new ProgressReader();
  try {
    const stream = server.stream(pathOf(Control.method.status), {}, signal);
    await stream.send(toBinary(StatusRequestSchema, create(StatusRequestSchema, { ref })));
    stream.end();
    for await (const messages of stream.receive())
      for (const message of messages)
        for (const event of reader.read(fromBinary(StatusResponseSchema, message))) progress(event);
  } catch (error) {
    if (signal.aborted || error instanceof ConnectError) return;
    const short = `the progress of the build cannot be read: ${messageOf(error)}`;
    progress({ kind: 'warning', short, detail: [] });
  }
}
