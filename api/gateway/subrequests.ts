import { KilnError } from '../../base/errors.ts';
import type { Bridge } from '../../builder/bridge.ts';
import { answerCallAbout } from '../../builder/call.ts';
import type { CallSpec } from '../../builder/call-spec.ts';
import { openFrontend } from '../../builder/opened-frontend.ts';
import type { BuildRequest } from '../../builder/request.ts';
import { callMethodOf, QUESTIONS } from '../../frontend/call/questions.ts';
import { MissingSubrequest } from '../grpc/missing-cap.ts';

/**
 * # Questions to the frontend (subrequests)
 *
 * A client may ask about a Dockerfile instead of having it built (`--call`). The answer is metadata
 * of a result without refs: the same as JSON and as text.
 */
/** Throws KILN_REQUEST_UNSUPPORTED for a question that the frontend does not know. */
export async function answerSubrequest(
  id: string,
  bridge: Bridge,
  request: BuildRequest,
): Promise<Readonly<Record<string, Uint8Array>>> {
  const opened = await openFrontend(bridge, request);
  if (opened.kind === 'image') return (await opened.ask({ requestid: id })).metadata;
  const method = callMethodOf(id);
  if (!method)
    throw new KilnError('KILN_REQUEST_UNSUPPORTED', `unsupported request ${id}`, {
      hint: `the frontend answers ${Object.values(QUESTIONS)
        .map(({ request: known }) => known)
        .join(', ')}`,
      cause: new MissingSubrequest(id),
    });
  const ask = (format: CallSpec['format']) =>
    answerCallAbout(opened, { method, format, ignoreStatus: false });
  const json = await ask('json');
  const hasText = QUESTIONS[method].answers.some((name) => name === 'result.txt');
  return metadata({
    'result.json': json.text,
    ...(hasText && { 'result.txt': (await ask('text')).text }),
    version: QUESTIONS[method].version,
    ...(method === 'check' && { 'result.statuscode': String(json.exitCode) }),
  });
}

function metadata(texts: Readonly<Record<string, string>>): Record<string, Uint8Array> {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, Buffer.from(text)]));
}
