import type { ImageConfig } from '../../base/oci.ts';
import type { Platform } from '../../base/platform.ts';
import type { SourceRange } from '../../solver/llb/graph.ts';
import type { NamedContext } from '../frontend.ts';
import type { Instruction, StageInstruction } from '../instructions.ts';
import type { Image } from './image.ts';
import { newStageOutline, type StageOutline } from './stage-outline.ts';
import type { StageState } from './stage-state.ts';
import type { Versions } from './versions.ts';

/**
 * # A stage
 *
 * It is made for each FROM, and for each image or context that COPY `--from` or a mount's `from`
 * names without there being such a stage (`registered` false): those have no instructions. What
 * FROM says of it stays as it is; what becomes of it is its `life`.
 */
export interface StageNode {
  /** Lower-case name after AS. */
  readonly name: string | undefined;
  /** What FROM says, expanded. */
  readonly baseName: string;
  /** The stage that FROM names, if it is one. */
  readonly base: StageNode | undefined;
  /** What the caller gives in its place. */
  readonly namedContext: FoundContext | undefined;
  /** `--platform`. */
  readonly platform: Platform | undefined;
  readonly instructions: readonly StageInstruction[];
  /** The FROM line as written; empty for an image that has none. */
  readonly original: string;
  readonly range: SourceRange | undefined;
  /** Where an error about its base is shown. */
  readonly errorRange: SourceRange;
  readonly registered: boolean;
  readonly ignoreCache: boolean;
  readonly steps: StepCount;
  /** What the caller can give to it, for `--call=outline`. */
  readonly outline: StageOutline;
  /** Paths that others read of it; matters when it is a local context. */
  readonly paths: Set<string>;
  life: StageLife;
}

/** The states that a stage goes through, in this order. */
export type StageLife =
  /** Its FROM is read. */
  | { readonly kind: 'listed' }
  /** It is known which stages its instructions read. */
  | ({ readonly kind: 'linked' } & Reads)
  /**
   * It is known what its base is, which may bring triggers. A stage that is built on a stage skips
   * this.
   */
  | ({ readonly kind: 'resolved'; readonly base: ResolvedBase } & Reads)
  /**
   * The triggers of its base are instructions of its own. `base` is undefined for what is built on
   * a stage.
   */
  | ({ readonly kind: 'ready'; readonly base: ResolvedBase | undefined } & Reads)
  /**
   * All its instructions are lowered: others may read it. What has none is so as soon as its base
   * is known.
   */
  | ({ readonly kind: 'lowered'; readonly work: StageWork } & Reads);

/** What a stage reads, besides its base. */
export interface Reads {
  readonly commands: readonly LinkedInstruction[];
  /** Stages it copies or mounts from, with the first instruction that says so. */
  readonly deps: ReadonlyMap<StageNode, Instruction>;
}

/** One instruction of a stage with the stages it reads from. */
export interface LinkedInstruction {
  readonly instruction: StageInstruction;
  /** COPY: its `--from`, if any. RUN: one per mount. */
  readonly sources: readonly StageNode[];
  readonly isOnBuild: boolean;
}

/** An image, a named context or the empty tree, as a stage begins with it. */
export interface ResolvedBase {
  /** The full name with its digest, where it has one. */
  readonly name: string;
  readonly platform: Platform | undefined;
  readonly state: StageState;
  readonly image: Image;
  /** The image's own config. */
  readonly config: ImageConfig | undefined;
}

/** What the instructions of a stage change, one after the other. */
export interface StageWork {
  readonly node: StageNode;
  /** That of its base, else `--platform`. */
  readonly platform: Platform | undefined;
  state: StageState;
  readonly image: Image;
  readonly baseImage: ImageConfig | undefined;
  /** The ARGs declared so far, for the history of RUN. */
  buildArgs: Versions<string | undefined>;
  /** Those of the stage at the bottom: what is built on a local context reads the context. */
  readonly paths: Set<string>;
  workdirSet: boolean;
  /**
   * The ENTRYPOINT that took away a CMD which an earlier stage of the file gives, and the line of
   * that CMD.
   */
  droppedCmd: { readonly at: SourceRange; readonly given: number | 'base' } | undefined;
  readonly seen: Map<'cmd' | 'entrypoint' | 'healthcheck', SourceRange>;
  /** The last CMD of the stages that it is built on. */
  readonly inheritedCmd: SourceRange | undefined;
}

/** Which step of which stage it is. */
export interface StepCount {
  /** What names show in brackets; empty when there is only one stage. */
  label: string;
  total: number;
  shown: number;
}

/** A named context under the name it was found by, which may end in `::platform`. */
export interface FoundContext {
  readonly name: string;
  readonly context: NamedContext;
}

type Described = Omit<StageNode, 'steps' | 'outline' | 'paths' | 'life'>;

export function newStage(described: Described, label: string, total: number): StageNode {
  const steps = { label, total, shown: 0 };
  // What has no instructions reads nothing.
  const life: StageLife = described.registered
    ? { kind: 'listed' }
    : { kind: 'linked', commands: [], deps: new Map() };
  return { ...described, steps, outline: newStageOutline(), paths: new Set(), life };
}

/** What a stage reads as far as it is known. */
export function knownReads({ life }: StageNode): Reads {
  return life.kind === 'listed' ? NO_READS : { commands: life.commands, deps: life.deps };
}

const NO_READS: Reads = { commands: [], deps: new Map() };
