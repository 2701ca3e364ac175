import { messageOf } from '../../base/errors.ts';

/** A cluster that has lost its leader has another one within this time, in milliseconds. */
const ELECTION_MS = 15_000;
const PAUSE_MS = 250;
/** NATS answers within this time, with a new leader where it lost one. Milliseconds. */
const ANSWER_MS = 20_000;
/** What NATS, or its client, says until then; and when another one makes the same just now. */
const AGAIN = /timeout|temporarily unavailable|already in use/i;

/**
 * Asks NATS, and asks again while a cluster chooses its leader. Rejects after twenty seconds
 * without an answer: one that was lost while the connection broke never comes.
 */
export async function answered<T>(ask: () => Promise<T>): Promise<T> {
  let late: NodeJS.Timeout | undefined;
  const lateness = new Promise<never>((_, reject) => {
    late = setTimeout(() => reject(new Error('NATS does not answer')), ANSWER_MS);
  });
  try {
    return await Promise.race([untilAnswered(ask), lateness]);
  } finally {
    clearTimeout(late);
  }
}

async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
  const late = performance.now() + ELECTION_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!AGAIN.test(messageOf(error)) || performance.now() > late) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
