import { whereJob } from './jobs.fixture.ts';
import { createPool } from './pool.ts';

// pool.test.ts runs this: it leaves an idle pool behind, used or not, and must end all the same.
const pool = createPool({
  entry: new URL('worker.fixture.ts', import.meta.url),
  threads: 2,
  prepare: () => console.log('starts'),
});
console.log('idle');
if (process.argv[2] === 'use') console.log(typeof (await pool.run(whereJob, null)));
