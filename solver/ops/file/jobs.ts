import { openRoot } from '../../../snapshotter/sys/rooted.ts';
import type { Job, JobContext } from '../../../snapshotter/workers/job.ts';
import { parseMode } from './chmod.ts';
import { copyFiles, linkFiles } from './copytree.ts';
import type { CopyJob, LinkJob } from './inparts.ts';
import { unpackPaths, unpackSteps } from './steps.ts';

/** The part of a copy that a worker thread makes. */
function copyShare(job: CopyJob, { moved }: JobContext): void {
  using from = openRoot(job.from);
  using to = openRoot(job.to);
  const { owner, mode, time } = job.overrides;
  const overrides = { owner, mode: mode === undefined ? undefined : parseMode(mode), time };
  copyFiles(from, to, unpackSteps(job.files), overrides, moved);
}

export const copyFilesJob: Job<CopyJob, void> = { name: 'file.copy', run: copyShare };

function linkShare(job: LinkJob): number[] {
  using from = openRoot(job.from);
  using to = openRoot(job.to);
  return linkFiles(from, to, unpackPaths(job.paths));
}

export const linkFilesJob: Job<LinkJob, number[]> = { name: 'file.link', run: linkShare };
