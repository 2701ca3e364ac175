import type { SourceRange } from '../../solver/llb/graph.ts';
import { newStage, type StageNode } from './stage.ts';

/**
 * All stages in order: those of the file, then the images and contexts that are only copied or
 * mounted from.
 */
export class StageList {
  readonly all: StageNode[] = [];
  readonly #byName = new Map<string, StageNode>();

  add(stage: StageNode): void {
    this.all.push(stage);
    if (stage.name !== undefined) this.#byName.set(stage.name.toLowerCase(), stage);
  }

  /** The stage that a FROM below names, if it is one. */
  baseNamed(name: string): StageNode | undefined {
    return this.#byName.get(name);
  }

  find(name: string): StageNode | undefined {
    return this.#byName.get(name.toLowerCase());
  }

  names(): string[] {
    return this.all.map(({ steps }) => steps.label).filter((label) => label !== '');
  }
}

/** An image or context that an instruction names instead of a stage. */
export function unregisteredStage(
  baseName: string,
  errorRange: SourceRange,
  range: SourceRange | undefined,
): StageNode {
  const described = {
    name: undefined,
    baseName,
    base: undefined,
    namedContext: undefined,
    platform: undefined,
    instructions: [],
    original: '',
    range,
    errorRange,
    registered: false,
    ignoreCache: false,
  };
  return newStage(described, '', 0);
}
