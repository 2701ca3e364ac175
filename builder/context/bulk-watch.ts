import type { ProgressSink } from '../../base/progress.ts';
import { bytes } from '../../base/units.ts';
import type { SelectionHasher } from '../../cache/contenthash/hasher.ts';
import type { Entry } from '../../cache/select/entry.ts';
import type { SelectedSource } from '../../cache/select/select.ts';
import type { IgnoreFile } from '../../frontend/ignore.ts';

/**
 * Directories that get into an image because nobody thought of them: history, installed packages,
 * tools' own caches.
 */
const USUAL = new Set([
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
const MANY_FILES = 1000;
const MUCH = 10_000_000;

/** The context of the build, filled in when it is known: the engine may be needed to fetch it. */
export interface BulkWatch {
  context: { readonly directory: string; readonly ignore: IgnoreFile | undefined } | undefined;
}

/**
 * The hasher, which also tells when a COPY takes much from such a directory without naming it and
 * no line of `.dockerignore` mentions it. It looks at the walk that was made anyway.
 */
export function tellingBulk(
  hasher: SelectionHasher,
  watch: BulkWatch,
  progress: ProgressSink,
): SelectionHasher {
  const told = new Set<string>();
  const mentioned = (name: string) =>
    watch.context?.ignore?.patterns.some(({ text }) => text.split('/').includes(name)) ?? false;
  return {
    ...hasher,
    async read(tree, selection, signal) {
      const found = await hasher.read(tree, selection, signal);
      if (tree.root !== watch.context?.directory) return found;
      for (const { path, files, size } of bulkIn(found.sources)) {
        const name = path.slice(path.lastIndexOf('/') + 1);
        if (told.has(path) || mentioned(name)) continue;
        told.add(path);
        progress({
          kind: 'warning',
          short: `the build takes ${path}/ from the context: ${files} files, ${bytes(size)}`,
          detail: [
            `unless the image needs it, add a line '${path === name ? '' : '**/'}${name}' ` +
              'to .dockerignore',
          ],
        });
      }
      return found;
    },
  };
}

interface Bulk {
  /** The outermost directory of such a name, in the context. */
  readonly path: string;
  readonly files: number;
  /** Bytes. */
  readonly size: number;
}

/**
 * Such directories below what was named, when they hold much. Entries of a directory follow it
 * without a gap.
 */
export function bulkIn(sources: readonly SelectedSource[]): Bulk[] {
  return sources.flatMap(({ entries }) => {
    const found: Bulk[] = [];
    for (let at = 0; at < entries.length; at++) {
      const entry = entries[at]!;
      if (entry.kind !== 'directory' || !isUsual(entry)) continue;
      const within = `${entry.path}/`;
      let files = 0;
      let size = 0;
      for (let next = entries[at + 1]; next?.path.startsWith(within); next = entries[++at + 1]) {
        if (next.kind !== 'file') continue;
        files++;
        size += next.size;
      }
      if (files >= MANY_FILES || size >= MUCH) found.push({ path: entry.path, files, size });
    }
    return found;
  });
}

function isUsual({ rel }: Entry): boolean {
  return rel !== '' && USUAL.has(rel.slice(rel.lastIndexOf('/') + 1));
}
