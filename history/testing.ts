import { digestOf } from '../base/digest.ts';
import type { BuildView, StepView } from './build-view.ts';

/** For tests: a step that ran for `ms`, or was cached for 0. */
export function madeStep(name: string, ms: number, more: Partial<StepView> = {}): StepView {
  return {
    vertex: digestOf(Buffer.from(name)),
    name,
    isInternal: false,
    inputs: [],
    state: ms === 0 ? 'cached' : 'done',
    isEmulated: false,
    started: 1000,
    ended: 1000 + ms,
    phases: [],
    wouldSave: ms / 2,
    transfers: [],
    log: { lines: 0, bytes: 0 },
    ...more,
  };
}

/** For tests: a build of these steps that began at `started`. */
export function madeView(
  id: string,
  started: number,
  steps: readonly StepView[],
  request: Partial<BuildView['request']> = {},
): BuildView {
  return {
    version: 1,
    id,
    ref: id,
    name: 'app',
    state: 'completed',
    started,
    ended: started + 500,
    request: {
      platforms: [],
      tags: [],
      buildArgs: {},
      labels: {},
      namedContexts: {},
      secrets: [],
      ssh: [],
      cacheFrom: [],
      cacheTo: [],
      outputs: [],
      door: 'cli',
      ...request,
    },
    sources: [{ name: 'Dockerfile', text: '' }],
    stages: [],
    steps,
    criticalPath: [],
    warnings: [],
    materials: [],
    outputs: [],
    counts: { steps: steps.length, completed: 0, cached: 0, failed: 0, warnings: 0 },
  };
}
