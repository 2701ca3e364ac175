import { layerJobs } from '../layer/jobs.ts';
import { serveJobs } from '../workers/serve.ts';

serveJobs(layerJobs);
