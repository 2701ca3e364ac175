import type { ProgressEvent } from '../../base/progress.ts';
import type { SaidSize } from '../terminal/terminal-size.ts';

/** How that ended which a view shows. */
export type Ending = 'done' | 'failed' | 'cancelled';

/**
 * A way to show progress. It consumes events; `close` writes what is due at the end, and is called
 * once.
 */
export interface ProgressView {
  event(event: ProgressEvent): void;
  close(outcome: Ending): void;
  /** For a view that writes by itself: it writes nothing until `resume`. */
  suspend?(): void;
  resume?(): void;
}

/**
 * A view whose terminal can be lent to somebody else; what happens meanwhile is shown afterwards.
 */
export interface LendingView extends ProgressView {
  readonly lend: () => Disposable;
}

export function lending(view: ProgressView): LendingView {
  let held: ProgressEvent[] | undefined;
  return {
    event: (event) => (held ? void held.push(event) : view.event(event)),
    close: (outcome) => view.close(outcome),
    lend() {
      held = [];
      view.suspend?.();
      return {
        [Symbol.dispose]() {
          const events = held ?? [];
          held = undefined;
          view.resume?.();
          for (const event of events) view.event(event);
        },
      };
    },
  };
}

export type ProgressMode = 'auto' | 'tty' | 'plain' | 'quiet' | 'none' | 'rawjson';

export const PROGRESS_MODES: readonly ProgressMode[] = [
  'auto',
  'tty',
  'plain',
  'quiet',
  'none',
  'rawjson',
];

/**
 * A stream that text is written to. When it is a terminal, only `control` reaches it as it is: the
 * text of others may hold sequences that a terminal obeys (`terminal/text.ts`).
 */
export interface Output extends SaidSize {
  /**
   * Text from anywhere: a terminal shows its control characters as text. Bytes are written as they
   * are.
   */
  write(text: string | Uint8Array): unknown;
  /** The output of a step: as `write`, but its colours are kept. */
  style(text: string): unknown;
  /**
   * Exactly these characters, made by Kiln: cursor movements and colours, around text that is
   * clean.
   */
  control(text: string): unknown;
  readonly isTTY?: boolean;
}

export interface ViewOptions {
  /** Whether the view colours its own lines. */
  readonly color: boolean;
  /** What is being done, for the head of the live view: `Building`, `Pushing`. */
  readonly activity: string;
  readonly env: NodeJS.ProcessEnv;
}
