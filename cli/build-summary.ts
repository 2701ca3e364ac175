import type { Digest } from '../base/digest.ts';
import type { ProgressEvent } from '../base/progress.ts';
import { familiarName, parseReference } from '../base/reference.ts';
import { isStepName } from '../base/step-name.ts';
import { bytes } from '../base/units.ts';
import type { ExportResponse } from '../exporter/exporter.ts';
import type { AssembledImage } from '../exporter/image.ts';

const SHORT_DIGEST = 'sha256:'.length + 12;

/** What the last line of a build says. It is told of everything that happens in the build. */
export class BuildSummary {
  readonly #begun = Date.now();
  /** The steps that have ended. True for those that were cached. */
  readonly #steps = new Map<Digest, boolean>();
  /** In bytes. */
  #size: number | undefined;
  /** The ID of the build's log. */
  logId: string | undefined;

  readonly begun = (id: string): void => {
    this.logId = id;
  };

  readonly assembled = (image: AssembledImage): void => {
    const [manifest] = image.manifests;
    // The sizes of the platforms of an index differ.
    if (!manifest || image.manifests.length > 1) return;
    this.#size = manifest.layers.reduce((sum, { size }) => sum + size, 0);
  };

  event(event: ProgressEvent): void {
    if (event.kind !== 'vertex' || event.completed === undefined || !isStepName(event.name)) return;
    this.#steps.set(event.vertex, event.cached === true);
  }

  /**
   * Returns a line such as `x:1 sha256:0123456789ab 12.3MB, built in 2.1s, 3 of 5 steps cached`.
   */
  line(response: ExportResponse): string {
    const digest = response['containerimage.digest'];
    const image = [
      shownNames(response['image.name']),
      typeof digest === 'string' ? digest.slice(0, SHORT_DIGEST) : '',
      this.#size === undefined ? '' : bytes(this.#size),
    ].filter((part) => part !== '');
    const time = `built in ${((Date.now() - this.#begun) / 1000).toFixed(1)}s`;
    return [...(image.length > 0 ? [image.join(' ')] : []), time, ...this.#cached()].join(', ');
  }

  #cached(): string[] {
    const all = this.#steps.size;
    if (all === 0) return [];
    const cached = [...this.#steps.values()].filter((is) => is).length;
    return [`${cached} of ${all} ${all === 1 ? 'step' : 'steps'} cached`];
  }
}

function shownNames(names: unknown): string {
  if (typeof names !== 'string') return '';
  return names
    .split(',')
    .map((name) => familiarName(parseReference(name)))
    .join(', ');
}
