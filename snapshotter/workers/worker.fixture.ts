import { fixtureJobs } from './jobs.fixture.ts';
import { serveJobs } from './serve.ts';

serveJobs(fixtureJobs);
