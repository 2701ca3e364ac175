import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** How long a screen may take to show what a test waits for, in milliseconds. */
const PATIENCE_MS = 120_000;

/** A window of a terminal: tmux, which wraps lines again when its window changes. */
export class TerminalWindow implements Disposable {
  readonly #directory: string;

  /** Opens a window of that size in which `command` runs, in a shell that stays open after it. */
  constructor(
    size: { readonly columns: number; readonly rows: number },
    command: readonly string[],
    { cwd, env = {} }: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> },
  ) {
    this.#directory = mkdtempSync(join(tmpdir(), 'kiln-tmux-'));
    const words = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
    const { TERM, ...others } = env;
    this.#tmux([
      ...['-f', '/dev/null', 'new-session', '-d'],
      ...['-x', String(size.columns), '-y', String(size.rows)],
      ...Object.entries(others).flatMap(([name, value]) => ['-e', `${name}=${value}`]),
      ...(cwd === undefined ? [] : ['-c', cwd]),
      // The window goes with its last program.
      `${TERM === undefined ? '' : `TERM=${TERM} `}${words}; echo "ended with $?"; cat`,
    ]);
  }

  /** The rows of the window, without those that are empty at its end. */
  screen(): string[] {
    return this.#tmux(['capture-pane', '-p']).trimEnd().split('\n');
  }

  /** All rows: those that have left the window at its top, and those in it. */
  history(): string[] {
    return this.#tmux(['capture-pane', '-p', '-S', '-']).trimEnd().split('\n');
  }

  /** Waits until the window shows what is wanted. Returns its rows. */
  async until(shows: (rows: readonly string[], text: string) => boolean): Promise<string[]> {
    for (const end = performance.now() + PATIENCE_MS; ; ) {
      const rows = this.screen();
      if (shows(rows, rows.join('\n'))) return rows;
      if (performance.now() > end) throw new Error(`the window shows:\n${rows.join('\n')}`);
      await pause(50);
    }
  }

  resize(columns: number, rows: number): void {
    this.#tmux(['resize-window', '-x', String(columns), '-y', String(rows)]);
  }

  /** Types keys, by the names that tmux has for them, such as `C-c`. */
  type(...keys: readonly string[]): void {
    this.#tmux(['send-keys', ...keys]);
  }

  #tmux(args: readonly string[]): string {
    return execFileSync('tmux', ['-S', join(this.#directory, 'socket'), ...args], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    });
  }

  [Symbol.dispose](): void {
    spawnSync('tmux', ['-S', join(this.#directory, 'socket'), 'kill-server']);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
