import { Code, ConnectError } from '@connectrpc/connect';
import { KilnError } from '../../base/errors.ts';

/** Makes an error of the client into one for its user. Other errors are returned unchanged. */
export function clientError(error: unknown): unknown {
  if (!(error instanceof ConnectError)) return error;
  return new KilnError('KILN_CLIENT_FAILED', error.rawMessage, { cause: error });
}

/** True for the error of a client that does not have what was asked for. */
export function isMissing(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.NotFound;
}

/**
 * Waits for an answer of a client. Returns undefined when the client does not have what was asked
 * for, or does not know the question. `or declined`: also when it has been told not to answer.
 * Throws KILN_CLIENT_FAILED for other errors.
 */
export async function unlessMissing<T>(
  asked: Promise<T>,
  declined?: 'or declined',
): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    const { code } = ConnectError.from(error);
    if (code === Code.NotFound || code === Code.Unimplemented) return undefined;
    if (declined && code === Code.Unavailable) return undefined;
    throw clientError(error);
  }
}
