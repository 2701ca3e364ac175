import { hashFilesJob } from '../cache/contenthash/jobs.ts';
import { layerJobs } from '../snapshotter/layer/jobs.ts';
import { serveJobs } from '../snapshotter/workers/serve.ts';
import { copyFilesJob, linkFilesJob } from '../solver/ops/file/jobs.ts';

/** The worker threads' entry: it serves the jobs of every room. */
serveJobs([...layerJobs, hashFilesJob, copyFilesJob, linkFilesJob]);
