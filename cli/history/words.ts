import type { ListedBuild } from '../../history/list-builds.ts';

/** How lists show the states of builds. */
export const STATE_NAMES: Readonly<Record<ListedBuild['state'], string>> = {
  running: 'Running',
  completed: 'Completed',
  failed: 'Error',
  cancelled: 'Canceled',
  lost: 'Lost',
  damaged: 'Damaged',
};

/** A duration in milliseconds as buildx shows it: `1.5s`, `2m  5s`. */
export function timeTaken(ms: number): string {
  if (ms < 60_000) return `${(Math.max(0, ms) / 1000).toFixed(1)}s`;
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}m ${String(seconds % 60).padStart(2)}s`;
}
