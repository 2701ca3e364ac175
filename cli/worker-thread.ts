import { hashFilesJob } from '../cache/contenthash/jobs.ts';
import { layerJobs } from '../snapshotter/layer/jobs.ts';
import { serveJobs } from '../snapshotter/workers/serve.ts';
import { copyFilesJob, linkFilesJob } from '../solver/ops/file/jobs.ts';

/** The program of the worker threads. It serves the jobs of all folders. */
serveJobs([...layerJobs, hashFilesJob, copyFilesJob, linkFilesJob]);
