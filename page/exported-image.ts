import type {
  DirectoryPage,
  ImageContents,
  TreemapBox,
  TreeQuery,
} from '../images/contents/contents.ts';
import type { PageSource } from './page-source.ts';

/** An image in a page that is one file. */
export interface ExportedImage {
  readonly contents: ImageContents;
  readonly treemap?: TreemapBox;
  /** The directories that are in the file, by their tree and ID: `upTo,since/ID`. */
  readonly directories: Readonly<Record<string, DirectoryPage>>;
}

/** How many entries of the whole tree, and of the tree of each layer, are in the file. */
const WHOLE = 1500;
const LAYER = 300;
/** How many entries of one directory. */
const PAGE = 60;

/** The name of a tree in `ExportedImage.directories`. */
export function treeName({ upTo, since }: TreeQuery): string {
  return `${upTo ?? ''},${since ?? ''}`;
}

/** Reads of the images of a build what fits into a file: the directories at the top, by size. */
export async function exportedImages(source: PageSource, id: string): Promise<ExportedImage[]> {
  const images = (await source.images?.(id)) ?? [];
  const exported: ExportedImage[] = [];
  for (const [index, contents] of images.entries()) {
    const directories: Record<string, DirectoryPage> = {};
    const trees: [TreeQuery, number][] = [
      [{}, WHOLE],
      ...contents.layers.map((_, at): [TreeQuery, number] => [{ upTo: at, since: at - 1 }, LAYER]),
    ];
    for (const [tree, most] of trees) await addTree(source, id, index, tree, most, directories);
    const treemap = await source.treemap?.(id, index, { limit: 200 });
    exported.push({ contents, directories, ...(treemap && { treemap }) });
  }
  return exported;
}

async function addTree(
  source: PageSource,
  id: string,
  image: number,
  tree: TreeQuery,
  most: number,
  directories: Record<string, DirectoryPage>,
): Promise<void> {
  const changes = tree.since === undefined ? {} : { changes: CHANGED };
  const waiting = [0];
  let count = 0;
  for (let at = 0; at < waiting.length && count < most; at++) {
    const query = { ...tree, ...changes, id: waiting[at]!, sort: 'size' as const, limit: PAGE };
    const page = await source.directory?.(id, image, query);
    if (!page) return;
    directories[`${treeName(tree)}/${page.id}`] = page;
    count += page.entries.length;
    for (const entry of page.entries) if (entry.type === 'directory') waiting.push(entry.id);
  }
}

const CHANGED = ['added', 'changed', 'removed'] as const;
