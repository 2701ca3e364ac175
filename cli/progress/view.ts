import type { ProgressEvent } from '../../base/progress.ts';

/** A way to show progress. It consumes events; `close` writes what is due at the end. */
export interface ProgressView {
  event(event: ProgressEvent): void;
  close(): void;
  /** For a view that writes by itself: it writes nothing until `resume`. */
  suspend?(): void;
  resume?(): void;
}

/** A view whose terminal can be lent to somebody else; what happens meanwhile is shown afterwards. */
export interface LendingView extends ProgressView {
  readonly lend: () => Disposable;
}

export function lending(view: ProgressView): LendingView {
  let held: ProgressEvent[] | undefined;
  return {
    event: (event) => (held ? void held.push(event) : view.event(event)),
    close: () => view.close(),
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

export const PROGRESS_MODES: readonly ProgressMode[] = ['auto', 'tty', 'plain', 'quiet', 'none', 'rawjson'];

/** The part of a stream that the views write to. */
export interface Output {
  write(text: string | Uint8Array): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** The view for `mode`; `auto` is the live view on a terminal and plain lines elsewhere. Modules are loaded when needed. */
export async function createView(mode: ProgressMode, output: Output, color: boolean): Promise<ProgressView> {
  const kind = mode === 'auto' ? (output.isTTY ? 'tty' : 'plain') : mode;
  switch (kind) {
    case 'tty':
      return (await import('./tty.ts')).createTtyView(output, color);
    case 'plain':
      return (await import('./plain.ts')).createPlainView(output);
    case 'rawjson':
      return (await import('./rawjson.ts')).createRawJsonView(output);
    case 'quiet':
    case 'none':
      return { event() {}, close() {} };
  }
}
