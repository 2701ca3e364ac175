import type { Digest } from '../base/digest.ts';
import { CancelledError } from '../base/errors.ts';
import type { ProgressSink } from '../base/progress.ts';
import { internalStep } from '../builder/internal-step.ts';
import type { TransferReport } from '../images/transfer-report.ts';
import { stderr } from './output.ts';
import { createView } from './progress/create-view.ts';
import type { ActivityOutcome } from './progress/view.ts';
import { progressMode } from './progress-mode.ts';
import { colorEnabled } from './terminal/terminal-size.ts';

/**
 * Runs `work`, which is a pull, push, load or copy, and shows its progress as one step named
 * `name`. `progress` is the value of `--progress`, which defaults to BUILDKIT_PROGRESS. With
 * `quiet` nothing is shown. `activity` is the word at the top of the live view, such as `Pulling`.
 * Returns what `work` returns.
 */
export async function withTransferProgress<T>(
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
    color: colorEnabled(process.env),
    env: process.env,
  });
  let outcome: ActivityOutcome = 'failed';
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

/** The shortest time between two events of a part, in milliseconds. */
const INTERVAL = 100;

/** Returns a report function that sends status events of `vertex` for each part of a transfer. */
export function statusReport(progress: ProgressSink, vertex: Digest): TransferReport {
  const started = new Map<string, number>();
  const reported = new Map<string, number>();
  return ({ id, name, current, total }) => {
    const timestamp = Date.now();
    if (current !== total && timestamp - (reported.get(id) ?? 0) < INTERVAL) return;
    reported.set(id, timestamp);
    const begun = started.get(id) ?? timestamp;
    started.set(id, begun);
    progress({
      kind: 'status',
      vertex,
      id,
      name,
      current,
      total,
      timestamp,
      started: begun,
      ...(current === total && { completed: timestamp }),
    });
  };
}
