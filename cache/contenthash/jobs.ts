import type { Job } from '../../snapshotter/workers/job.ts';
import { type HashJob, hashFiles } from './filehash.ts';
import type { Contents } from './statcache.ts';

export const hashFilesJob: Job<HashJob, Contents> = { name: 'contenthash.files', run: hashFiles };
