import { KilnError } from '../errors.ts';

/**
 * The KilnError that `work` rejects with. When it throws anything else or succeeds, this function
 * throws.
 */
export async function failure(work: Promise<unknown>): Promise<KilnError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof KilnError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
