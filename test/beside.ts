import { test } from 'uvu';

const bodies: (() => void)[] = [];

/**
 * A test whose body runs beside those of all others of its file that are made by this function. It
 * is for tests that wait most of their time.
 */
export function beside(name: string, body: () => Promise<void>): void {
  let running: Promise<void> | undefined;
  bodies.push(() => {
    running ??= body();
    // The test tells it.
    running.catch(() => {});
  });
  test(name, async () => {
    for (const begin of bodies) begin();
    await running;
  });
}
