import { RegistryClient, type RegistryOptions } from '../client.ts';

/**
 * A client that does not really wait between attempts, and records how long it would have waited.
 */
export function quickClient(
  options: RegistryOptions = {},
): RegistryClient & { readonly waits: number[] } {
  const waits: number[] = [];
  const wait = async (ms: number, signal: AbortSignal) => {
    signal.throwIfAborted();
    waits.push(ms);
  };
  return Object.assign(new RegistryClient({ ...options, retry: { wait, ...options.retry } }), {
    waits,
  });
}

/** A signal that never fires. */
export function never(): AbortSignal {
  return new AbortController().signal;
}
