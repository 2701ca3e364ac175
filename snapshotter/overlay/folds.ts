import { createHash } from 'node:crypto';
import type { Store } from '../store/root.ts';
import type { ScratchDir } from '../store/scratch.ts';
import type { LayerJobs } from './jobs.ts';

/**
 * Overlay takes 500 lower layers. Before Linux 6.7 it takes only as many as their names fit into a
 * page, which is about 230. A longer stack is folded: its lowest layers become one directory of
 * hard links, which shows what they show together. Very few images have that many layers.
 */
const MOST = 200;
/**
 * Layers are folded in groups of this size, so that the stacks of successive steps share their
 * folds.
 */
const STEP = 128;

/**
 * Folded stacks, in the scratch space of this process. No image, record or layer refers to them.
 * Each is made once, from the fold of fewer layers, and remains until the store is closed.
 */
export class Folds {
  readonly #store: Pick<Store, 'scratch'>;
  readonly #jobs: Pick<LayerJobs, 'assemble'>;
  readonly #made = new Map<string, Promise<ScratchDir>>();

  constructor(store: Pick<Store, 'scratch'>, jobs: Pick<LayerJobs, 'assemble'>) {
    this.#store = store;
    this.#jobs = jobs;
  }

  /** Directories that together show what `lower` (bottom first) shows, few enough for one mount. */
  async fold(lower: readonly string[]): Promise<readonly string[]> {
    if (lower.length <= MOST) return lower;
    const count = Math.ceil((lower.length - MOST) / STEP) * STEP;
    return [(await this.#folded(lower, count)).path, ...lower.slice(count)];
  }

  /** The lowest `count` layers as one directory. */
  #folded(lower: readonly string[], count: number): Promise<ScratchDir> {
    const key = createHash('sha256').update(lower.slice(0, count).join('\0')).digest('hex');
    const known = this.#made.get(key);
    if (known) return known;
    const made = this.#make(lower, count);
    this.#made.set(key, made);
    // A later caller tries again.
    made.catch(() => this.#made.delete(key));
    return made;
  }

  async #make(lower: readonly string[], count: number): Promise<ScratchDir> {
    const before = count > STEP ? [(await this.#folded(lower, count - STEP)).path] : [];
    const directory = this.#store.scratch('fold');
    try {
      const layers = [...before, ...lower.slice(count - STEP, count)];
      await this.#jobs.assemble({ layers, root: directory.path, files: 'link' });
      return directory;
    } catch (error) {
      directory[Symbol.dispose]();
      throw error;
    }
  }
}
