import type { ProgressEvent } from '../../base/progress.ts';
import type { ReportedSize } from '../terminal/terminal-size.ts';

/** How the work that a view shows ended. */
export type ActivityOutcome = 'done' | 'failed' | 'cancelled';

/** Shows progress events to the user. */
export interface ProgressView {
  event(event: ProgressEvent): void;
  /** Writes the end of the output. Called once, after the last event. */
  close(outcome: ActivityOutcome): void;
  /** Stops a view that redraws by a timer, until `resume` is called. */
  suspend?(): void;
  resume?(): void;
}

/** A view whose terminal another program can use for some time, such as a shell. */
export interface LendingView extends ProgressView {
  /**
   * Stops the view from writing until the returned value is disposed. Events that come meanwhile
   * are shown afterwards.
   */
  readonly lend: () => Disposable;
}

/** Adds `lend` to a view. */
export function lendingView(view: ProgressView): LendingView {
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

/** The types of progress output, as `--progress` names them. */
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
 * Standard output or standard error. When it is a terminal, `write` and `style` escape control
 * characters, because untrusted text may contain sequences that a terminal executes
 * (`terminal/text.ts`).
 */
export interface Output extends ReportedSize {
  /** Writes text, with its control characters escaped, or bytes as they are. */
  write(text: string | Uint8Array): unknown;
  /** Writes the output of a step, as `write` does, but keeps its colours. */
  style(text: string): unknown;
  /**
   * Writes the text as it is. It contains cursor movements and colours of Kiln. Untrusted text in
   * it must be escaped already.
   */
  control(text: string): unknown;
  readonly isTTY?: boolean;
}

export interface ViewOptions {
  /** Whether the view colours its lines. */
  readonly color: boolean;
  /** The word at the top of the live view, such as `Building` or `Pushing`. */
  readonly activity: string;
  readonly env: NodeJS.ProcessEnv;
}
