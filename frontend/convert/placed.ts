import { KilnError, type Place } from '../../base/errors.ts';

/** Runs `work`. A KilnError that it throws gets `place` unless it already has one. */
export function placed<T>(place: Place | undefined, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof KilnError ? error.at(place) : error;
  }
}

export async function placedAsync<T>(place: Place | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof KilnError ? error.at(place) : error;
  }
}
