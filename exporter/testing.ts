import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProgressEvent } from '../base/progress.ts';
import { openServices, type StoreServices } from '../snapshotter/overlay/services.ts';
import { SCRATCH, type Snapshot } from '../snapshotter/snapshotter.ts';
import { openStore } from '../snapshotter/store/root.ts';
import type { ExportContext, Exporter, ExportResponse } from './exporter.ts';
import { type Destination, type OutputSpec, parseOutput } from './output-spec.ts';
import type { BuiltTarget } from './target.ts';

/** A temporary store for tests, with an output directory beside it. */
export interface Workshop extends AsyncDisposable, StoreServices {
  readonly out: string;
  readonly events: ProgressEvent[];
  /** Commits a layer. `write` makes its content in the mounted tree. */
  step(parent: Snapshot, write: (root: string) => void): Promise<Snapshot>;
  run(
    exporter: Exporter,
    targets: readonly BuiltTarget[],
    options?: { epoch?: number; signal?: AbortSignal },
  ): Promise<ExportResponse>;
}

export function openWorkshop(): Workshop {
  const root = mkdtempSync(join(tmpdir(), 'kiln-export-'));
  const store = openStore(join(root, 'store'));
  const services = openServices(store);
  const events: ProgressEvent[] = [];
  return {
    ...services,
    out: root,
    events,
    async step(parent, write) {
      await using active = await services.snapshotter.prepare(parent);
      write(active.root);
      return await active.commit();
    },
    run(exporter, targets, { epoch, signal } = {}) {
      const context: ExportContext = {
        signal: signal ?? new AbortController().signal,
        progress: (event) => events.push(event),
        epoch,
      };
      return exporter.export(targets, context);
    },
    async [Symbol.asyncDispose]() {
      await services.snapshotter[Symbol.asyncDispose]();
      store.close();
      rmSync(root, { recursive: true });
    },
  };
}

export function targetOf(snapshot: Snapshot = SCRATCH, architecture = 'amd64'): BuiltTarget {
  return {
    platform: { os: 'linux', architecture },
    snapshot,
    config: {
      architecture,
      os: 'linux',
      config: { Env: ['PATH=/bin'], Cmd: ['/hello'] },
      history: [
        { created_by: 'COPY hello / # buildkit', comment: 'buildkit.dockerfile.v0' },
        { created_by: 'RUN /bin/sh -c true # buildkit', comment: 'buildkit.dockerfile.v0' },
        { created_by: 'CMD ["/hello"]', comment: 'buildkit.dockerfile.v0', empty_layer: true },
      ],
    },
  };
}

/** Parses an output such as `type=oci,dest=x`, to a file. `T` narrows the result. */
export function output<T extends OutputSpec['type']>(
  type: T,
  text = '',
  tags: readonly string[] = [],
): OutputSpec<Destination> & { type: T } {
  const fields =
    text === '' ? [] : text.split(',').map((field) => field.split('=') as [string, string]);
  return parseOutput(new Map([['type', type], ...fields]), tags) as OutputSpec<Destination> & {
    type: T;
  };
}
