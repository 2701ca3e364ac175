import { KilnError } from '../base/errors.ts';

/** Longer than any real teardown takes, such as a thread that is writing to a slow disk. */
const LIMIT_MS = 60_000;

/**
 * Waits until `closing` settles, for at most `limit` milliseconds. Throws KILN_UNFINISHED, which
 * says that `what` could not be closed, when it takes longer. The timer does not keep the event
 * loop alive: when nothing else does, the process ends at once, and as a failure (outcome.ts).
 */
export async function closeInTime(
  what: string,
  closing: PromiseLike<void>,
  limit: number = LIMIT_MS,
): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      reject(
        new KilnError(
          'KILN_UNFINISHED',
          `${what} could not be closed within ${Math.round(limit / 1000)} seconds`,
          {
            hint: 'run the command again, and report this if it happens again',
          },
        ),
      ),
    limit,
  ).unref();
  try {
    await Promise.race([closing, late]);
  } finally {
    clearTimeout(timer);
  }
}
