/** So long a thread may work before timers and other callers get their turn, in milliseconds. */
const BUSY_MS = 20;

let last = 0;

/**
 * Lets the event loop turn when it has not for a while. Work that awaits only what is there already
 * would never let it: promises come before timers and sockets.
 */
export async function breathe(): Promise<void> {
  if (performance.now() - last < BUSY_MS) return;
  await new Promise((resolve) => setImmediate(resolve));
  last = performance.now();
}
