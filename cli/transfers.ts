import type { Digest } from '../base/digest.ts';
import { CancelledError } from '../base/errors.ts';
import type { ProgressSink } from '../base/progress.ts';
import { bytes } from '../base/units.ts';
import { internalStep } from '../builder/internal-step.ts';
import { stderr } from './output.ts';
import { createView } from './progress/create-view.ts';
import type { Ending } from './progress/view.ts';
import { progressMode } from './progress-mode.ts';
import { wantsColor } from './terminal/terminal-size.ts';

/** Tells how far one part of a transfer is: a layer, a manifest. */
export type TransferReport = (status: {
  readonly id: string;
  readonly name: string;
  readonly current: number;
  readonly total: number;
}) => void;

/**
 * Runs a pull, push, load or copy as one step in the usual progress view, as the flags and
 * BUILDKIT_PROGRESS say; `quiet` shows nothing. `activity` is what the head of the live view says,
 * such as `Pulling`.
 */
export async function shownTransfer<T>(
  activity: string,
  name: string,
  {
    quiet,
    progress: flag,
  }: { readonly quiet?: boolean | undefined; readonly progress?: string | undefined },
  work: (report: TransferReport) => Promise<T>,
): Promise<T> {
  const mode = quiet ? 'quiet' : progressMode(flag, process.env);
  const view = await createView(mode, stderr, {
    activity,
    color: wantsColor(process.env),
    env: process.env,
  });
  let outcome: Ending = 'failed';
  const progress: ProgressSink = (event) => view.event(event);
  try {
    const result = await internalStep(progress, name, ({ vertex }) =>
      work(statusReport(progress, vertex)),
    );
    outcome = 'done';
    return result;
  } catch (error) {
    if (error instanceof CancelledError) outcome = 'cancelled';
    throw error;
  } finally {
    view.close(outcome);
  }
}

/** Milliseconds after which a rate says something. */
const RATE_AFTER = 200;

/** ` (41.3MB/s)` for what has been moved since `begun`; nothing in the first moments. */
function rate(moved: number, ms: number): string {
  return ms < RATE_AFTER || moved === 0 ? '' : ` (${bytes(Math.round((moved / ms) * 1000))}/s)`;
}

/** Status events for parts of `vertex`, each with its own beginning and end. */
export function statusReport(progress: ProgressSink, vertex: Digest): TransferReport {
  const started = new Map<string, number>();
  return ({ id, name, current, total }) => {
    const timestamp = Date.now();
    const begun = started.get(id) ?? timestamp;
    started.set(id, begun);
    progress({
      kind: 'status',
      vertex,
      id,
      name: name + rate(current, timestamp - begun),
      current,
      total,
      timestamp,
      started: begun,
      ...(current === total && { completed: timestamp }),
    });
  };
}
