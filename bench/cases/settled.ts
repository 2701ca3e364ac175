import type { CaseContext } from '../case.ts';
import type { Engine } from '../engines.ts';

/**
 * Builds three times, so that the timed runs are those of somebody who builds the same again. What
 * an engine does once after a change, such as noting that new layers are on the disk, is done.
 */
export async function settled(context: CaseContext, engine: Engine): Promise<void> {
  for (let run = 0; run < 3; run++) await engine.build(context.directory);
}
