import type { Platform } from '../../base/platform.ts';
import type { SourceRange } from '../../solver/llb/graph.ts';
import { newStage, type StageNode } from './stage.ts';

/** All stages in order: those of the file, then the images and contexts that are only copied or mounted from. */
export class StageList {
  readonly all: StageNode[] = [];
  private readonly byName = new Map<string, StageNode>();
  private readonly target: Platform;

  constructor(target: Platform) {
    this.target = target;
  }

  add(stage: StageNode): void {
    this.all.push(stage);
    stage.base = this.byName.get(stage.baseName);
    if (stage.name !== undefined) this.byName.set(stage.name.toLowerCase(), stage);
  }

  find(name: string): StageNode | undefined {
    return this.byName.get(name.toLowerCase());
  }

  names(): string[] {
    return this.all.map((stage) => stage.label).filter((label) => label !== '');
  }

  /** An image or context that an instruction names instead of a stage. */
  unregistered(baseName: string, errorRange: SourceRange, range: SourceRange | undefined): StageNode {
    const described = {
      name: undefined,
      baseName,
      instructions: [],
      original: '',
      range,
      errorRange,
      registered: false,
      label: '',
    };
    return newStage(described, this.target);
  }
}
