import { KilnError } from '../base/errors.ts';
import { formatPlatform } from '../base/platform.ts';
import type { Engine } from '../builder/engine.ts';
import type { BuildView } from '../history/build-view.ts';
import { compareImages } from '../images/contents/compare-images.ts';
import type { ImageComparison } from '../images/contents/comparison.ts';
import type {
  DirectoryPage,
  DirectoryQuery,
  ImageContents,
  TreemapBox,
  TreemapQuery,
} from '../images/contents/contents.ts';
import { directory } from '../images/contents/directory.ts';
import { imageContents } from '../images/contents/image-contents.ts';
import { type OpenContents, openContents } from '../images/contents/open-contents.ts';
import { treemap } from '../images/contents/treemap.ts';
import { readAllPlatforms } from '../images/read.ts';
import type { StoredImage } from '../snapshotter/images.ts';

/** Of how many builds the images are kept in memory. */
const KEPT = 4;

/** What is in the images of builds, read from the store when somebody looks. */
export class BuildImages {
  readonly #engine: Engine;
  readonly #signal: AbortSignal;
  readonly #read = new Map<string, Promise<readonly OpenContents[]>>();

  constructor(engine: Engine, signal: AbortSignal) {
    this.#engine = engine;
    this.#signal = signal;
  }

  async contents(view: BuildView): Promise<readonly ImageContents[]> {
    return (await this.#images(view)).map((image) => imageContents(image));
  }

  async directory(view: BuildView, index: number, query: DirectoryQuery): Promise<DirectoryPage> {
    return directory(await this.#image(view, index), query);
  }

  async treemap(view: BuildView, index: number, query: TreemapQuery): Promise<TreemapBox> {
    return treemap(await this.#image(view, index), query);
  }

  /** Compares the images of two builds that have the same platform. */
  async compare(from: BuildView, to: BuildView): Promise<readonly ImageComparison[]> {
    const [older, newer] = [await this.#images(from), await this.#images(to)];
    const compared: ImageComparison[] = [];
    using _ = this.#engine.begin();
    for (const image of newer) {
      const before = older.find((one) => platformOf(one) === platformOf(image));
      if (before) compared.push(await compareImages(before, image, { signal: this.#signal }));
    }
    return compared;
  }

  async #image(view: BuildView, index: number): Promise<OpenContents> {
    const image = (await this.#images(view))[index];
    if (image) return image;
    throw new KilnError('KILN_IMAGE_NOT_FOUND', 'the image of this build is not in the store');
  }

  #images(view: BuildView): Promise<readonly OpenContents[]> {
    const stored = storedImage(this.#engine, view);
    const key = stored ? `${view.id} ${stored.target.digest}` : view.id;
    const known = this.#read.get(key);
    if (known) return known;
    const read = this.#open(stored);
    if (view.state === 'running') return read;
    this.#read.set(key, read);
    read.catch(() => this.#read.delete(key));
    for (const oldest of this.#read.keys()) {
      if (this.#read.size <= KEPT) break;
      this.#read.delete(oldest);
    }
    return read;
  }

  async #open(stored: StoredImage | undefined): Promise<readonly OpenContents[]> {
    if (!stored) return [];
    using _ = this.#engine.begin();
    const opened: OpenContents[] = [];
    for (const { config } of readAllPlatforms(this.#engine.content, stored.target)) {
      const { os, architecture, variant } = config;
      const platform = { os, architecture, ...(variant !== undefined && { variant }) };
      opened.push(await openContents(this.#engine, stored, { platform, signal: this.#signal }));
    }
    return opened;
  }
}

function platformOf({ image: { config } }: OpenContents): string {
  const { os, architecture, variant } = config;
  return formatPlatform({ os, architecture, ...(variant !== undefined && { variant }) });
}

/** The image of the store that a build has made, if it is still there. */
function storedImage({ images }: Engine, { outputs }: BuildView): StoredImage | undefined {
  const digests = new Set(outputs.map(({ digest }) => digest));
  return images.list().find(({ target }) => digests.has(target.digest));
}
