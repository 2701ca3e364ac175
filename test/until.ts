import { setTimeout } from 'node:timers/promises';

/** Waits until something holds. The test ends by its own limit when it never does. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await setTimeout(20);
}
