import type { ProgressSink } from '../../base/progress.ts';
import { bytes } from '../../base/units.ts';
import type { Entry } from '../../cache/select/entry.ts';
import type { SelectedSource } from '../../cache/select/selected-source.ts';
import type { IgnoreFile } from '../../frontend/ignore.ts';

/**
 * Names of directories that often get into an image by accident: version history, installed
 * packages, caches of tools.
 */
const BULKY_NAMES = new Set([
  '.git',
  '.hg',
  '.svn',
  'node_modules',
  '.venv',
  'venv',
  '__pycache__',
  '.tox',
  '.gradle',
  '.terraform',
  '.next',
  '.cache',
]);
/** A directory is worth a warning from this many files on, or from this many bytes on. */
const MIN_FILES = 1000;
const MIN_BYTES = 10_000_000;

/**
 * Warns about large copies from the context that are probably accidents. A COPY takes many files
 * from a directory with a bulky name, does not name that directory, and no line of `ignore`
 * mentions it. The result is called with each selection of files that a build reads
 * (`DirectoryResult.onRead`). Each directory is reported once.
 */
export function bulkWarnings(
  ignore: IgnoreFile | undefined,
  progress: ProgressSink,
): (sources: readonly SelectedSource[]) => boolean {
  const warned = new Set<string>();
  const mentioned = (name: string) =>
    ignore?.patterns.some(({ text }) => text.split('/').includes(name)) ?? false;
  return (sources) => {
    const bulk = bulkIn(sources);
    for (const { path, files, size } of bulk) {
      const name = path.slice(path.lastIndexOf('/') + 1);
      if (warned.has(path) || mentioned(name)) continue;
      warned.add(path);
      const amount = `${files} ${files === 1 ? 'file' : 'files'}, ${bytes(size)}`;
      progress({
        kind: 'warning',
        short: `the build copies ${path}/ from the context: ${amount}`,
        detail: [
          `unless the image needs it, add a line '${path === name ? '' : '**/'}${name}' ` +
            'to .dockerignore',
        ],
      });
    }
    return bulk.length > 0;
  };
}

interface Bulk {
  /** Path in the context of the outermost directory with a bulky name. */
  readonly path: string;
  readonly files: number;
  /** Bytes. */
  readonly size: number;
}

/**
 * Finds large directories with a bulky name below the paths that a COPY names. In `entries`, the
 * entries of a directory follow it directly.
 */
export function bulkIn(sources: readonly SelectedSource[]): Bulk[] {
  return sources.flatMap(({ entries }) => {
    const found: Bulk[] = [];
    for (let at = 0; at < entries.length; at++) {
      const entry = entries[at]!;
      if (entry.kind !== 'directory' || !hasBulkyName(entry)) continue;
      const within = `${entry.path}/`;
      let files = 0;
      let size = 0;
      for (let next = entries[at + 1]; next?.path.startsWith(within); next = entries[++at + 1]) {
        if (next.kind !== 'file') continue;
        files++;
        size += next.size;
      }
      if (files >= MIN_FILES || size >= MIN_BYTES) found.push({ path: entry.path, files, size });
    }
    return found;
  });
}

function hasBulkyName({ rel }: Entry): boolean {
  return rel !== '' && BULKY_NAMES.has(rel.slice(rel.lastIndexOf('/') + 1));
}
