import type { Conversion } from './conversion.ts';
import type { LinkedInstruction, StageWork } from './stage.ts';
import type { WordMode } from './words.ts';

/** The lowering of one instruction: what it may look at and change. */
export interface Step {
  readonly conversion: Conversion;
  readonly stage: StageWork;
  readonly command: LinkedInstruction;
  /** Expands a word by the stage's environment; warns of variables that nobody defined. */
  readonly expand: (text: string, mode?: WordMode) => string;
  /** Like `expand`, for a word that may become several or none. */
  readonly expandAll: (text: string) => readonly string[];
}
