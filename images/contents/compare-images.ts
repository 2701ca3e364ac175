import { createHash } from 'node:crypto';
import { formatPlatform } from '../../base/platform.ts';
import { compareConfigs } from './compare-configs.ts';
import type {
  ChangeTotal,
  ComparedFile,
  ComparedImage,
  FileDifference,
  FileFacts,
  ImageComparison,
  PackageChange,
  PackageKind,
} from './comparison.ts';
import { contentsKindOf } from './directory.ts';
import { type LayeredTree, TOP, TYPE } from './layered-tree.ts';
import type { OpenContents } from './open-contents.ts';
import { type ImagePackages, imagePackages } from './packages.ts';
import { type FileReader, readFiles } from './read-files.ts';

export interface CompareOptions {
  /** The most files, and the most packages, that are listed; 1000 by default. */
  readonly limit?: number;
  readonly signal: AbortSignal;
}

const USUAL_LIMIT = 1000;
const MOST = 100_000;

/**
 * What is different between two images. What comes from the layers that both have is the same.
 * Other files of one size are compared by content.
 */
export async function compareImages(
  from: OpenContents,
  to: OpenContents,
  { limit = USUAL_LIMIT, signal }: CompareOptions,
): Promise<ImageComparison> {
  const count = Math.max(0, Math.min(MOST, limit));
  const shared = sharedLayers(from, to);
  const pairs = pairsOf(from, to, shared);
  const equal = await sameContents(from, to, pairs, signal);
  const different = pairs.flatMap((pair) => comparedFile(from, to, pair, equal) ?? []);
  const compared = different.filter(({ what }) => what[0] !== 'time');
  const growth = ({ from: before, to: after }: ComparedFile) =>
    (after?.size ?? 0) - (before?.size ?? 0);
  const total = (change: ComparedFile['change']): ChangeTotal => {
    const files = compared.filter((file) => file.change === change);
    return { files: files.length, bytes: files.reduce((sum, file) => sum + growth(file), 0) };
  };
  const packages = comparePackages(
    await imagePackages(from, signal),
    await imagePackages(to, signal),
  );
  const packageCount = (is: (change: PackageChange) => boolean) => packages.list.filter(is).length;
  return {
    version: 1,
    from: comparedImage(from),
    to: comparedImage(to),
    layers: {
      shared,
      removed: indexes(shared, from.tree.layers),
      added: indexes(shared, to.tree.layers),
    },
    config: compareConfigs(from.image.config, to.image.config),
    files: {
      added: total('added'),
      removed: total('removed'),
      changed: total('changed'),
      touched: different.length - compared.length,
      list: compared
        .map((file) => ({ file, size: Math.abs(growth(file)) }))
        .sort((a, b) => b.size - a.size || (a.file.path < b.file.path ? -1 : 1))
        .slice(0, count)
        .map(({ file }) => file),
    },
    packages: {
      added: packageCount((change) => change.from === undefined),
      removed: packageCount((change) => change.to === undefined),
      changed: packageCount((change) => change.from !== undefined && change.to !== undefined),
      list: packages.list.slice(0, count),
      unreadable: packages.unreadable,
    },
  };
}

function comparedImage(contents: OpenContents): ComparedImage {
  const { name, image, tree } = contents;
  return {
    ...(name !== undefined && { name }),
    digest: image.descriptor.digest,
    platform: formatPlatform(image.config),
    bytes: contents.views.get({}).bytes[TOP]!,
    layers: tree.layers,
  };
}

function indexes(start: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - start) }, (_, at) => start + at);
}

/** How many layers, from the lowest on, both images have. */
function sharedLayers({ image: a }: OpenContents, { image: b }: OpenContents): number {
  const [from, to] = [a.config.rootfs?.diff_ids ?? [], b.config.rootfs?.diff_ids ?? []];
  const most = Math.min(a.manifest.layers.length, b.manifest.layers.length);
  let shared = 0;
  while (shared < most && from[shared] !== undefined && from[shared] === to[shared]) shared++;
  return shared;
}

/** One path: its entries in the two images, or -1. They are not both -1. */
interface Pair {
  readonly from: number;
  readonly to: number;
}

/** The paths that are not from a layer that both images have. */
function pairsOf(from: OpenContents, to: OpenContents, shared: number): Pair[] {
  const pairs: Pair[] = [];
  const todo: [number, number][] = [[TOP, TOP]];
  for (let next = todo.pop(); next; next = todo.pop()) {
    const [a, b] = next;
    const names = new Map<string, [number, number]>();
    if (a >= 0)
      for (const node of from.tree.childrenOf(a)) names.set(from.tree.nameOf(node), [node, -1]);
    if (b >= 0)
      for (const node of to.tree.childrenOf(b)) {
        const name = to.tree.nameOf(node);
        names.set(name, [names.get(name)?.[0] ?? -1, node]);
      }
    for (const [inA, inB] of names.values()) {
      const [before, after] = [seen(from.tree, inA), seen(to.tree, inB)];
      const isIn = isDirectory(from.tree, before) || isDirectory(to.tree, after);
      if (isIn)
        todo.push([
          isDirectory(from.tree, before) ? inA : -1,
          isDirectory(to.tree, after) ? inB : -1,
        ]);
      if (isSharedEntry(from.tree, before, to.tree, after, shared)) continue;
      if (before >= 0 || after >= 0) pairs.push({ from: before, to: after });
    }
  }
  return pairs;
}

function seen(tree: LayeredTree, node: number): number {
  const entry = node < 0 ? -1 : tree.latestOf(node);
  return tree.isThere(entry) ? entry : -1;
}

function isDirectory(tree: LayeredTree, entry: number): boolean {
  return entry >= 0 && tree.typeOf(entry) === TYPE.directory;
}

function isSharedEntry(a: LayeredTree, from: number, b: LayeredTree, to: number, shared: number) {
  return from >= 0 && to >= 0 && a.layerOf(from) === b.layerOf(to) && a.layerOf(from) < shared;
}

/** The entries of files of the older image whose content the newer one has, too. */
async function sameContents(
  from: OpenContents,
  to: OpenContents,
  pairs: readonly Pair[],
  signal: AbortSignal,
): Promise<ReadonlySet<number>> {
  const doubtful = pairs.filter(({ from: a, to: b }) => isDoubtful(from.tree, a, to.tree, b));
  const before = await digests(
    from,
    doubtful.map((pair) => pair.from),
    signal,
  );
  const after = await digests(
    to,
    doubtful.map((pair) => pair.to),
    signal,
  );
  return new Set(
    doubtful
      .filter((pair) => {
        const digest = before.get(from.tree.ownerOf(pair.from));
        return digest !== undefined && digest === after.get(to.tree.ownerOf(pair.to));
      })
      .map((pair) => pair.from),
  );
}

/** True for files of the same size, whose content only reading tells. */
function isDoubtful(a: LayeredTree, from: number, b: LayeredTree, to: number): boolean {
  if (from < 0 || to < 0) return false;
  if (a.typeOf(from) !== TYPE.file || b.typeOf(to) !== TYPE.file) return false;
  return a.sizeOf(a.ownerOf(from)) === b.sizeOf(b.ownerOf(to));
}

async function digests(
  contents: OpenContents,
  entries: readonly number[],
  signal: AbortSignal,
): Promise<ReadonlyMap<number, string>> {
  const found = new Map<number, string>();
  let hash = createHash('sha256');
  const owners = new Set(entries.map((entry) => contents.tree.ownerOf(entry)));
  const reader: FileReader = {
    begin: () => void (hash = createHash('sha256')),
    data: (_, bytes) => void hash.update(bytes),
    end: (entry) => void found.set(entry, hash.digest('hex')),
  };
  await readFiles(contents, owners, reader, signal);
  return found;
}

function comparedFile(
  { tree: a }: OpenContents,
  { tree: b }: OpenContents,
  { from, to }: Pair,
  equal: ReadonlySet<number>,
): ComparedFile | undefined {
  const what = from < 0 || to < 0 ? [] : differences(a, from, b, to, equal.has(from));
  const change = from < 0 ? 'added' : to < 0 ? 'removed' : 'changed';
  if (change === 'changed' && what.length === 0) return undefined;
  return {
    path: from < 0 ? b.pathOf(b.nodeOf(to)) : a.pathOf(a.nodeOf(from)),
    change,
    ...(from >= 0 && { from: factsOf(a, from) }),
    ...(to >= 0 && { to: factsOf(b, to) }),
    what,
  };
}

function differences(
  a: LayeredTree,
  from: number,
  b: LayeredTree,
  to: number,
  sameContent: boolean,
): FileDifference[] {
  const [before, after] = [a.factsOf(from), b.factsOf(to)];
  const what: FileDifference[] = [];
  if (before.type !== after.type) what.push('type');
  else if (before.type === TYPE.file) {
    if (!sameContent) what.push('content');
  } else if (before.type === TYPE.symlink) {
    if (targetOf(a, from) !== targetOf(b, to)) what.push('target');
  } else if (before.target !== after.target) what.push('device');
  if (before.mode !== after.mode) what.push('mode');
  if (before.uid !== after.uid || before.gid !== after.gid) what.push('owner');
  // Times of directories change with what is in them.
  if (before.modified !== after.modified && before.type !== TYPE.directory) what.push('time');
  return what;
}

/** A further name of a symlink points where the first one does. */
function targetOf(tree: LayeredTree, entry: number): string {
  return tree.names.text(tree.factsOf(tree.ownerOf(entry)).target);
}

function factsOf(tree: LayeredTree, entry: number): FileFacts {
  const { type, mode, uid, gid } = tree.factsOf(entry);
  return {
    type: contentsKindOf(type),
    mode,
    uid,
    gid,
    size: tree.sizeOf(entry),
    layer: tree.layerOf(entry),
  };
}

function comparePackages(
  from: ImagePackages,
  to: ImagePackages,
): { list: PackageChange[]; unreadable: ImagePackages['unreadable'] } {
  const keys = [...new Set([...from.versions.keys(), ...to.versions.keys()])].sort();
  const list = keys.flatMap((key): PackageChange[] => {
    const [kind, name = ''] = key.split('\0');
    const [before, after] = [versionsOf(from, key), versionsOf(to, key)];
    if (before === after) return [];
    return [
      {
        kind: kind as PackageKind,
        name,
        ...(before !== undefined && { from: before }),
        ...(after !== undefined && { to: after }),
      },
    ];
  });
  return { list, unreadable: [...from.unreadable, ...to.unreadable] };
}

function versionsOf({ versions }: ImagePackages, key: string): string | undefined {
  const found = versions.get(key);
  return found && [...found].sort().join(', ');
}
