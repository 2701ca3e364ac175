import type { ProgressSink } from '../base/progress.ts';
import type { ImageSources } from '../registry/pull.ts';
import type { StoreServices } from '../snapshotter/overlay/services.ts';
import type { BuildResult } from '../solver/result.ts';
import type { Elsewhere } from '../solver/solver.ts';
import type { StepSession } from '../solver/step-session.ts';
import type { Worker } from '../solver/worker.ts';

/** Other machines that run steps of builds of this one (workers/). */
export interface OtherWorkers extends AsyncDisposable {
  /** What the solver of one build asks. It asks nothing any more when the build is over. */
  forBuild(build: BuildWithWorkers): Elsewhere<BuildResult> & AsyncDisposable;
}

/** A build of which steps may run elsewhere. */
export interface BuildWithWorkers {
  readonly services: StoreServices;
  /** What the caller lends to the steps. */
  readonly session: StepSession;
  readonly images: ImageSources;
  /** The worker of this host. */
  readonly worker: Worker;
  /**
   * How long the step of this name ran when it last did, in milliseconds. Undefined when it is not
   * known.
   */
  readonly costOf: (name: string) => number | undefined;
  readonly progress: ProgressSink;
}
