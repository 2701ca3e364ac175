import { KilnError } from '../base/errors.ts';
import { QUESTIONS } from '../frontend/call/questions.ts';
import type { CallAnswer, CallSpec } from './call-spec.ts';
import type { ImageFrontend } from './image-frontend.ts';

/** The option that asks a frontend in an image for the capability to answer questions. */
const SUBREQUESTS = { 'frontend.caps': 'moby.buildkit.frontend.subrequests+forward' };

/**
 * Has a frontend in an image answer a question. Throws KILN_FRONTEND_UNSUPPORTED when it answers
 * none, and KILN_FRONTEND_FAILED when its answer is not one.
 */
export async function answerImageCall(
  frontend: ImageFrontend,
  { method, format, ignoreStatus }: CallSpec,
): Promise<CallAnswer> {
  const requestid = QUESTIONS[method].request;
  const { metadata } = await frontend.ask({ requestid, ...SUBREQUESTS });
  const text = (name: string) =>
    Object.hasOwn(metadata, name) ? Buffer.from(metadata[name]!).toString() : undefined;
  const result = text(`result.${format === 'json' ? 'json' : 'txt'}`) ?? text('result.json');
  if (result === undefined)
    throw new KilnError(
      'KILN_FRONTEND_FAILED',
      `the frontend answered ${requestid} without a result.json or result.txt`,
    );
  const status = Number(text('result.statuscode') ?? 0);
  const fails = Number.isInteger(status) && status > 0 && status < 256;
  return {
    text: result.endsWith('\n') ? result : `${result}\n`,
    exitCode: fails && !ignoreStatus ? status : 0,
    error: undefined,
    document: method === 'check' ? () => parsed(text('result.json')) : undefined,
  };
}

/** A frontend of others may answer anything. */
function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}
