import { Code, ConnectError } from '@connectrpc/connect';
import type { InnerClient } from '../api/grpc/inner-client.ts';
import { LLBBridge } from '../api/proto/gateway.gen.ts';
import type { ProgressSink } from '../base/progress.ts';
import { withoutLogins } from '../builder/build.ts';
import type { CallAnswer, CallSpec } from '../builder/call-spec.ts';
import { answerImageCall } from '../builder/image-call.ts';
import type { BuildRequest } from '../builder/request.ts';
import type { BuildWords } from './build-words.ts';
import { layOut } from './lay-out.ts';
import type { Loans } from './lend/loans.ts';
import type { OpenServer } from './open-server.ts';
import { remoteSolve } from './remote-solve.ts';
import { requestWords } from './request-words.ts';
import { scratchIn } from './scratch.ts';

/** By which a call of LLBBridge names its build. */
const BUILD_ID = 'buildkit-controlapi-buildid';

/**
 * Has the frontend of a server answer a question about the Dockerfile: the twin of `answerCall`.
 * Nothing is built. The arguments and the errors are those of `remoteBuild`.
 */
export async function remoteCall(
  server: OpenServer,
  call: CallSpec,
  request: BuildRequest,
  loans: Loans,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<CallAnswer> {
  await using scope = new AsyncDisposableStack();
  const asked = { ...request, outputs: [], cacheTo: [] };
  const words = await requestWords(asked, loans, scratchIn(scope));
  const ask = (more: Readonly<Record<string, string>> = {}) =>
    askWords(server, { ...words, options: { ...words.options, ...more } }, loans, progress, signal);
  return await answerImageCall({ kind: 'image', dockerfile: undefined, named: {}, ask }, call);
}

/** Asks the frontend of a build in the words of the API, and answers its metadata. */
export async function askWords(
  server: OpenServer,
  words: BuildWords,
  loans: Loans,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<{
  readonly metadata: Readonly<Record<string, Uint8Array>>;
  readonly targets: readonly never[];
}> {
  await using scope = new AsyncDisposableStack();
  const report = withoutLogins(progress);
  const { solve } = layOut(words, loans, scratchIn(scope), scope, report, signal);
  let metadata: Readonly<Record<string, Uint8Array>> = {};
  const { frontend, options } = words;
  const drive = async (ref: string, signal: AbortSignal) => {
    metadata = await askFrontend(server.client, ref, frontend, { ...options }, signal);
  };
  const driven = { ...solve.request, frontend: '' };
  await remoteSolve(server, { ...solve, request: driven, drive }, report, signal);
  return { metadata, targets: [] };
}

/** Drives a build that only asks its frontend. An error of the frontend ends the build with it. */
async function askFrontend(
  server: InnerClient,
  ref: string,
  frontend: string,
  frontendOpt: Record<string, string>,
  signal: AbortSignal,
): Promise<Readonly<Record<string, Uint8Array>>> {
  const headers = { [BUILD_ID]: ref };
  const { method } = LLBBridge;
  try {
    await server.unary(method.ping, {}, signal, headers);
    const { result } = await server.unary(
      method.solve,
      { frontend, frontendOpt, allowResultReturn: true, allowResultArrayRef: true },
      signal,
      headers,
    );
    await server.unary(method.return, { ...(result && { result }) }, signal, headers);
    return result?.metadata ?? {};
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    const { rawMessage: message, code } = error;
    const details = error.details.flatMap((detail) =>
      'type' in detail ? [{ typeUrl: detail.type, value: detail.value }] : [],
    );
    const told = { code: code ?? Code.Unknown, message, details };
    // The build may be over already.
    await server.unary(method.return, { error: told }, signal, headers).catch(() => {});
    throw error;
  }
}
