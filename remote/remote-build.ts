import type { ProgressSink } from '../base/progress.ts';
import { withoutLogins } from '../builder/build.ts';
import { tryOutputs } from '../builder/export/try-outputs.ts';
import type { BuildRequest } from '../builder/request.ts';
import type { ExportResponse } from '../exporter/exporter.ts';
import type { BuildWords } from './build-words.ts';
import { layOut } from './lay-out.ts';
import type { Loans } from './lend/loans.ts';
import type { OpenServer } from './open-server.ts';
import { remoteSolve } from './remote-solve.ts';
import { requestWords } from './request-words.ts';
import { scratchIn } from './scratch.ts';

/**
 * Builds at a server of BuildKit's API: the twin of `build`, which builds here. The server asks for
 * what `loans` lends, and what it makes comes where the request says. Rejects with a KilnError when
 * the user can correct what went wrong, and with a CancelledError after `signal` was aborted. When
 * the promise settles, nothing is lent any more.
 */
export async function remoteBuild(
  server: OpenServer,
  request: BuildRequest,
  loans: Loans,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<ExportResponse> {
  tryOutputs(request, loans);
  await using scope = new AsyncDisposableStack();
  const words = await requestWords(request, loans, scratchIn(scope));
  return await buildWords(server, words, loans, progress, signal);
}

/** The same for a build that is in the words of the API. */
export async function buildWords(
  server: OpenServer,
  words: BuildWords,
  loans: Loans,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<ExportResponse> {
  await using scope = new AsyncDisposableStack();
  const report = withoutLogins(progress);
  const laidOut = layOut(words, loans, scratchIn(scope), scope, report, signal);
  const { ref, response } = await remoteSolve(server, laidOut.solve, report, signal);
  await laidOut.finish(response);
  return { ...decoded(response), 'buildx.build.ref': `remote/remote/${ref}` };
}

/** What exporters tell are texts. Some are JSON in base64, which a reader wants as it was. */
function decoded(response: Readonly<Record<string, string>>): ExportResponse {
  return Object.fromEntries(
    Object.entries(response).map(([name, text]) => [name, jsonIn(text) ?? text]),
  );
}

function jsonIn(text: string): object | undefined {
  if (!/^[A-Za-z0-9+/]{4,}=*$/.test(text)) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64').toString());
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
