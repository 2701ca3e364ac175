import { nameBytes } from '../sys/name-bytes.ts';
import { malformed } from './refusal.ts';

const MAX_NAME = 255;

/**
 * Where an entry goes. `names` are the components below the layer's root, and empty for the root
 * itself.
 */
export interface EntryPath {
  readonly names: readonly string[];
  readonly parent: string;
  readonly name: string;
}

/**
 * Splits the path of an entry into components. Leading `/` and `./` are ignored. `..` is refused
 * rather than resolved, and so are names that the file system does not allow.
 */
export function entryPath(path: string): EntryPath {
  const names: string[] = [];
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue;
    if (name === '..') throw malformed(`a path with .. in it: ${JSON.stringify(path)}`);
    if (name.includes('\0')) throw malformed('a path with a NUL in it');
    if (name.length * 3 > MAX_NAME && nameBytes(name).length > MAX_NAME)
      throw malformed(`a name of more than ${MAX_NAME} bytes`);
    names.push(name);
  }
  const name = names.at(-1) ?? '';
  return { names, parent: names.slice(0, -1).join('/'), name };
}

const PREFIX = '.wh.';
const OPAQUE = '.wh..wh..opq';

/**
 * The meaning of a name in a layer (image-spec layer.md#whiteouts). Names with `.wh..wh.` other
 * than the opaque one belong to AUFS and are ignored.
 */
export function whiteoutOf(
  name: string,
):
  | { readonly kind: 'none' }
  | { readonly kind: 'opaque' }
  | { readonly kind: 'skip' }
  | { readonly kind: 'whiteout'; readonly name: string } {
  if (!name.startsWith(PREFIX)) return { kind: 'none' };
  if (name === OPAQUE) return { kind: 'opaque' };
  if (name.startsWith('.wh..wh.')) return { kind: 'skip' };
  const hidden = name.slice(PREFIX.length);
  if (hidden === '' || hidden === '.' || hidden === '..')
    throw malformed(`a whiteout of ${JSON.stringify(hidden)}`);
  return { kind: 'whiteout', name: hidden };
}
