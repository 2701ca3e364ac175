import type { Engine } from './engines.ts';
import type { Place, PlaceName } from './places.ts';
import type { Run } from './timed.ts';

/** One kind of work. It is prepared once for each engine and place, then timed several times. */
export interface Case {
  readonly name: string;
  readonly title: string;
  /**
   * Cases of a family that follow one another share context and nonces, so that a cached build
   * finds what the cold one before it made.
   */
  readonly family?: string;
  /** Base images by their test image name. Each engine has them before anything is timed. */
  readonly images: readonly string[];
  /** Images that only have to be in the registry, because the case itself pulls them. */
  readonly pulls?: readonly string[];
  /** Where the base images are. Each place makes a row. Only local when left out. */
  readonly places?: readonly PlaceName[];
  /** Returns a sentence about what this machine lacks for the case, or undefined. */
  readonly unavailable?: (context: CaseContext) => string | undefined;
  /** Fills the context directory. */
  readonly prepare: (context: CaseContext) => void | Promise<void>;
  /** Prepares a timed run, such as by removing caches. `run` counts from 0. */
  readonly before?: (context: CaseContext, engine: Engine, run: number) => Promise<void>;
  /** The timed run. Undefined when only the floor is measured. */
  readonly run: ((context: CaseContext, engine: Engine, run: number) => Promise<Run>) | undefined;
  /** Removes what `before` made, after all runs or after a run that failed. */
  readonly after?: (context: CaseContext) => Promise<void>;
  /** The same work by the plainest tools. */
  readonly floor?: Floor;
  /** The target in seconds, or as a multiple of the floor. It is shown in the table. */
  readonly target?: number | { readonly floors: number };
  /** The most memory in MB that Kiln may need. It is shown in the table. */
  readonly memoryGoal?: number;
  /** For each engine that cannot run the case: the reason. */
  readonly without?: Readonly<Record<string, string>>;
  /**
   * Peers need so long for this that they are measured in the first place of the bases only, which
   * makes no difference to the work.
   */
  readonly isLong?: boolean;
}

/** The plainest tools for a case, on the disk of Kiln's store. No engine can be faster. */
export interface Floor {
  /** What the script does, in a few words for the table. */
  readonly title: string;
  /** Prepares each run, when $SCRATCH is empty. */
  readonly before?: (context: CaseContext) => void;
  /** Returns a script for sh, or undefined where its tools are missing. */
  readonly script: (context: CaseContext) => string | undefined | Promise<string | undefined>;
  /** The script asks the registry itself. Otherwise the bench adds one question for the tag. */
  readonly asks?: boolean;
}

/** What a case gets for one engine and place. */
export interface CaseContext {
  /** A separate directory for this engine and place and this case, or its family. */
  readonly directory: string;
  /** Returns a text that is unique in this session. With it in its text, a step is not cached. */
  readonly nonce: (run: number) => string;
  readonly place: Place;
  /** Returns what FROM says for a test image in this place. */
  readonly base: (image: string) => string;
  /** Returns the names of a test image in all registries. */
  readonly names: (image: string) => readonly string[];
  /** A directory on the file system of Kiln's store, for what floors keep. */
  readonly disk: string;
  /** An empty directory there. It is emptied before each run. Floors know it as $SCRATCH. */
  readonly scratch: string;
  /** Returns a directory on that file system with the unpacked test image. */
  readonly root: (image: string) => string;
  /** `host:port` of a registry on loopback for what is pushed, when one runs. */
  readonly registry: string | undefined;
}
