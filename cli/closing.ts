import { KilnError } from '../base/errors.ts';

/**
 * Longer than anything takes that is closed in earnest: a thread in the middle of a write to a slow
 * disk.
 */
const LIMIT_MS = 60_000;

/**
 * Waits for the end of what is being closed, `what`, for a minute. A teardown that never settles is
 * an error like any other. The clock holds no event loop: when nothing else does, the process ends
 * at once, as one that failed (outcome.ts).
 */
export async function closed(
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
