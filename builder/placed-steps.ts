import type { Digest } from '../base/digest.ts';
import type { ProgressSink } from '../base/progress.ts';

/** Which steps of a build other machines have run. */
export class PlacedSteps {
  readonly #placed = new Map<Digest, { readonly name: string; readonly worker: string }>();

  /** A sink that notes what is placed, and passes on all events. */
  watching(progress: ProgressSink): ProgressSink {
    return (event) => {
      if (event.kind === 'placed') {
        const { vertex, name, worker } = event;
        if (worker === undefined) this.#placed.delete(vertex);
        else this.#placed.set(vertex, { name, worker });
      }
      progress(event);
    };
  }

  /** The names of the steps that each machine has run so far. */
  get byWorker(): ReadonlyMap<string, readonly string[]> {
    const found = Map.groupBy(this.#placed.values(), ({ worker }) => worker);
    return new Map([...found].map(([worker, steps]) => [worker, steps.map(({ name }) => name)]));
  }
}
