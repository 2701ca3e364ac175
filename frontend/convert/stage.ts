import type { ImageConfig } from '../../base/oci.ts';
import type { Platform } from '../../base/platform.ts';
import type { SourceRange } from '../../solver/llb/graph.ts';
import type { NamedContext } from '../frontend.ts';
import type { Instruction, StageInstruction } from '../instructions.ts';
import { emptyImage, type Image } from './image.ts';
import { newStageOutline, type StageOutline } from './stage-outline.ts';
import { emptyState, type StageState } from './stage-state.ts';
import { Versions } from './versions.ts';

/** One instruction of a stage with the stages it reads from. */
export interface LinkedInstruction {
  readonly instruction: StageInstruction;
  /** COPY: its `--from`, if any. RUN: one per mount. */
  readonly sources: readonly StageNode[];
  readonly isOnBuild: boolean;
}

/**
 * A stage while it is being lowered. It is made for each FROM, and for each image or context that COPY `--from` or a mount's `from`
 * names without there being such a stage (`registered` false): those have no instructions.
 */
export interface StageNode {
  /** Lower-case name after AS. */
  readonly name: string | undefined;
  /** What FROM says, expanded. Replaced by the full image name once that is known. */
  baseName: string;
  readonly instructions: readonly StageInstruction[];
  /** The FROM line as written; empty for an image that has none. */
  readonly original: string;
  readonly range: SourceRange | undefined;
  /** Where an error about its base is shown. */
  readonly errorRange: SourceRange;
  readonly registered: boolean;
  /** `--platform`, then the platform that was found for the base. */
  platform: Platform | undefined;
  namedContext: FoundContext | undefined;
  /** The stage that FROM names, if it is one. */
  base: StageNode | undefined;
  /** Stages it copies or mounts from, with the first instruction that says so. */
  readonly deps: Map<StageNode, Instruction>;
  commands: LinkedInstruction[];

  /** What names show in brackets; empty when there is only one stage. */
  label: string;
  total: number;
  shown: number;
  /** The step being lowered comes from an ONBUILD. */
  onBuildStep: boolean;
  ignoreCache: boolean;

  resolved: boolean;
  onBuildDone: boolean;
  /** All its instructions have been lowered: others may read it. */
  dispatched: boolean;

  state: StageState;
  image: Image;
  baseImage: ImageConfig | undefined;
  /** The ARGs declared so far, for the history of RUN. */
  buildArgs: Versions<string | undefined>;
  /** Paths that others read of this stage; matters when it is a local context. Shared with the base stage. */
  paths: Set<string>;
  workdirSet: boolean;
  /** What the caller can give to it, for `--call=outline`. */
  readonly outline: StageOutline;
  /** The ENTRYPOINT that took away a CMD which an earlier stage of the file gives, and the line of that CMD. */
  droppedCmd: { readonly at: SourceRange; readonly given: number } | undefined;
  readonly seen: Map<'cmd' | 'entrypoint' | 'healthcheck', SourceRange>;
}

/** A named context under the name it was found by, which may end in `::platform`. */
export interface FoundContext {
  readonly name: string;
  readonly context: NamedContext;
}

type Described = Pick<
  StageNode,
  'name' | 'baseName' | 'instructions' | 'original' | 'range' | 'errorRange' | 'registered' | 'label'
>;

export function newStage(described: Described, target: Platform): StageNode {
  return {
    ...described,
    platform: undefined,
    namedContext: undefined,
    base: undefined,
    deps: new Map(),
    commands: [],
    total: 0,
    shown: 0,
    onBuildStep: false,
    ignoreCache: false,
    resolved: false,
    onBuildDone: false,
    dispatched: false,
    state: emptyState(undefined),
    image: emptyImage(target),
    baseImage: undefined,
    buildArgs: Versions.of('stays'),
    paths: new Set(),
    workdirSet: false,
    outline: newStageOutline(),
    droppedCmd: undefined,
    seen: new Map(),
  };
}
