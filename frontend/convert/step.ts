import type { Conversion } from './conversion.ts';
import type { LinkedInstruction, StageWork } from './stage.ts';
import type { WordMode } from './words.ts';

/** What the lowering of one instruction may read and change. */
export interface Step {
  readonly conversion: Conversion;
  readonly stage: StageWork;
  readonly command: LinkedInstruction;
  /** Expands a word with the stage's environment, and warns of undefined variables. */
  readonly expand: (text: string, mode?: WordMode) => string;
  /** Like `expand`, for a word that may become several words or none. */
  readonly expandAll: (text: string) => readonly string[];
}
