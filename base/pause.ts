/**
 * Blocks this thread for some milliseconds. For code that has to wait and cannot be asynchronous;
 * the wait should be short, because nothing else happens meanwhile.
 */
export function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
