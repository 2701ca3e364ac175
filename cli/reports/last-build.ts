import { logNames, readHeader } from '../../builder/history/build-log.ts';
import type { BuildView } from '../../history/build-view.ts';
import { readBuildView } from '../../history/read-build.ts';

/** So many builds before are looked at. */
const MOST = 50;

/**
 * The last build before `view` that made an image of the same name. Undefined when there is none
 * among the newest, or when its record cannot be read.
 */
export function lastBuildOf(directory: string, view: BuildView): BuildView | undefined {
  const before = logNames(directory)
    .filter((id) => id < view.id)
    .slice(-MOST)
    .reverse();
  for (const id of before) {
    const header = readHeader(directory, id);
    if (header['context'] !== view.request.context && !sharesTag(header['tags'], view)) continue;
    try {
      const found = readBuildView(directory, id);
      if (found.state === 'completed' && found.name === view.name) return found;
    } catch {
      // It was removed meanwhile.
    }
  }
  return undefined;
}

function sharesTag(tags: unknown, { request }: BuildView): boolean {
  return Array.isArray(tags) && tags.some((tag) => request.tags.includes(String(tag)));
}
