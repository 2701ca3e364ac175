import type { Engine, Run } from './engines.ts';

/** One row of the table: prepares a context once for each engine, then is timed several times. */
export interface Case {
  readonly name: string;
  readonly title: string;
  /** Images (by their test image name) that must be in each engine's store. */
  readonly images: readonly string[];
  /** What this machine must offer, or a sentence saying what is missing. */
  readonly unavailable?: (context: CaseContext) => string | undefined;
  /** Fills the context directory. */
  readonly prepare: (context: CaseContext) => void;
  /** Before each timed run: makes what must be cold cold. `run` counts from 0. */
  readonly before?: (context: CaseContext, engine: Engine, run: number) => Promise<void>;
  readonly run: (context: CaseContext, engine: Engine, run: number) => Promise<Run>;
  /** Seconds to reach, when a target is set; shown in the table. */
  readonly target?: number;
  /** Time that is no engine's doing (the step's own work), taken off before comparing with the target. */
  readonly beyond?: string;
}

export interface CaseContext {
  /** A directory of its own for this case and engine. */
  readonly directory: string;
  /** Unlike any other in this session: what makes a step new. */
  readonly nonce: (run: number) => string;
  /** `host:port` of a registry on loopback that serves the test images, when one runs. */
  readonly registry: string | undefined;
}
