import { digestOf } from '../../base/digest.ts';
import type { BuildView, StepView } from '../build-view.ts';

/** A view for tests: a build of one second with these steps. */
export function viewOf(
  steps: readonly (Partial<StepView> & { readonly name: string })[],
  more: Partial<BuildView> = {},
): BuildView {
  return {
    version: 1,
    id: 'i',
    ref: 'r',
    name: 'app',
    state: 'completed',
    started: 1000,
    ended: 2500,
    request: {
      platforms: [],
      tags: ['app'],
      buildArgs: {},
      labels: {},
      namedContexts: {},
      secrets: [],
      ssh: [],
      cacheFrom: [],
      cacheTo: [],
      outputs: [],
      door: 'cli',
    },
    sources: [],
    stages: [],
    steps: steps.map((step) => ({
      vertex: digestOf(step.name),
      isInternal: false,
      inputs: [],
      state: 'done',
      isEmulated: false,
      phases: [],
      wouldSave: 0,
      transfers: [],
      log: { lines: 0, bytes: 0 },
      ...step,
    })),
    criticalPath: [],
    warnings: [],
    materials: [],
    outputs: [],
    counts: { steps: steps.length, completed: steps.length, cached: 0, failed: 0, warnings: 0 },
    ...more,
  };
}
