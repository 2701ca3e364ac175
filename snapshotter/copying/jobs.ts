import type { Job } from '../workers/job.ts';
import { type AssembleInput, assemble } from './assemble.ts';
import { type GatherInput, gather } from './gather.ts';

export const assembleJob: Job<AssembleInput, void> = { name: 'copying.assemble', run: assemble };
export const gatherJob: Job<GatherInput, void> = { name: 'copying.gather', run: gather };
