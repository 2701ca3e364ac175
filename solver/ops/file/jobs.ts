import { openRoot } from '../../../snapshotter/sys/rooted.ts';
import { parseMode } from './chmod.ts';
import { copyFiles } from './copytree.ts';
import type { CopyJob } from './perform.ts';

/** What a worker thread does for a copy: its share of the files, into directories that are there already. */
export function copyJob(job: CopyJob): void {
  using from = openRoot(job.from);
  using to = openRoot(job.to);
  const { owner, mode, time } = job.overrides;
  copyFiles(from, to, job.files, { owner, mode: mode === undefined ? undefined : parseMode(mode), time });
}
