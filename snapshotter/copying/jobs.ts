import type { Job } from '../workers/job.ts';
import { type AssembleInput, assembleTree } from './assemble.ts';
import { type GatherInput, gather } from './gather.ts';

export const assembleJob: Job<AssembleInput, void> = {
  name: 'copying.assemble',
  run: assembleTree,
};
export const gatherJob: Job<GatherInput, void> = { name: 'copying.gather', run: gather };
