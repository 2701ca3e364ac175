import type { GoldenCase } from './case.ts';
import { BASIC } from './cases/basic.ts';
import { CONFIG } from './cases/config.ts';
import { CONTEXTS } from './cases/contexts.ts';
import { COPIES } from './cases/copies.ts';
import { EXPANSION } from './cases/expansion.ts';
import { MOUNTS } from './cases/mounts.ts';
import { RUNS } from './cases/runs.ts';
import { SEEDS } from './cases/seeds.ts';
import { STAGES } from './cases/stages.ts';

/** All golden cases, grouped by subject. */
export const CASES: readonly GoldenCase[] = [
  ...BASIC,
  ...EXPANSION,
  ...STAGES,
  ...RUNS,
  ...MOUNTS,
  ...COPIES,
  ...CONTEXTS,
  ...CONFIG,
  ...SEEDS,
];
