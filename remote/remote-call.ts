import { Code, ConnectError } from '@connectrpc/connect';
import type { InnerClient } from '../api/grpc/inner-client.ts';
import { LLBBridge } from '../api/proto/gateway.gen.ts';
import type { ProgressSink } from '../base/progress.ts';
import { withoutLogins } from '../builder/build.ts';
import type { CallAnswer, CallSpec } from '../builder/call-spec.ts';
import { answerImageCall } from '../builder/image-call.ts';
import type { BuildRequest } from '../builder/request.ts';
import { layOut } from './lay-out.ts';
import type { Loans } from './lend/loans.ts';
import { remoteSolve } from './remote-solve.ts';

/** By which a call of LLBBridge names its build. */
const BUILD_ID = 'buildkit-controlapi-buildid';

/**
 * Has the frontend of a server answer a question about the Dockerfile: the twin of `answerCall`.
 * Nothing is built. The arguments and the errors are those of `remoteBuild`.
 */
export async function remoteCall(
  server: InnerClient,
  call: CallSpec,
  request: BuildRequest,
  loans: Loans,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<CallAnswer> {
  await using scope = new AsyncDisposableStack();
  const report = withoutLogins(progress);
  const asked = { ...request, outputs: [], cacheTo: [] };
  const { frontend, options, solve } = await layOut(asked, loans, scope, report, signal);
  return await answerImageCall(
    {
      kind: 'image',
      dockerfile: undefined,
      async ask(more) {
        let metadata: Readonly<Record<string, Uint8Array>> = {};
        const drive = async (ref: string, signal: AbortSignal) => {
          metadata = await askFrontend(server, ref, frontend, { ...options, ...more }, signal);
        };
        const plain = { ...solve.request, frontend: '', frontendAttrs: options };
        await remoteSolve(server, { ...solve, request: plain, drive }, report, signal);
        return { metadata, targets: [] };
      },
    },
    call,
  );
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
