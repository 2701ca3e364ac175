import { KilnError } from '../errors.ts';

/** The error that `work` ends with, which must be one with a code: anything else that it throws, or nothing, is thrown here. */
export async function failure(work: Promise<unknown>): Promise<KilnError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof KilnError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
