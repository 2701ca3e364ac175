import { spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, rmSync } from 'node:fs';
import { KilnError } from '../../base/errors.ts';
import { reported } from '../../exporter/export-report.ts';
import type { Exporter } from '../../exporter/exporter.ts';
import { imageStoreExporter } from '../../exporter/image-store.ts';
import { dockerExporter } from '../../exporter/oci.ts';
import type { ImageOptions } from '../../exporter/output-spec.ts';
import type { Engine } from '../engine.ts';

/**
 * The exporter for `--load` and for `type=docker` without `dest`. It writes the image to the local
 * store and loads it into the Docker engine of this host. When no engine is running, it warns and
 * writes to the local store only. Its `export` throws KILN_ENGINE_LOAD when the engine refuses the
 * image.
 */
export function engineExporter(engine: Engine, image: ImageOptions): Exporter {
  const store = imageStoreExporter(engine, { image });
  return {
    name: store.name,
    async export(targets, context) {
      const response = await store.export(targets, context);
      if (!engineRuns()) {
        context.progress({
          kind: 'warning',
          short: 'no Docker engine is running here: the image is in the local store only',
          detail: ["'kiln save' writes it as an archive that 'docker load' reads"],
        });
        return response;
      }
      const archive = engine.store.scratchPath('engine');
      try {
        await dockerExporter(engine, {
          image,
          destination: { kind: 'file', path: archive },
        }).export(targets, context);
        await reported('importing to docker', context, () => dockerLoad(archive, context.signal));
      } finally {
        rmSync(archive, { force: true });
      }
      return response;
    },
  };
}

/** True when a Docker engine answers. */
export function engineRuns(): boolean {
  return (
    spawnSync('docker', ['version', '--format', '{{.Server.Version}}'], {
      stdio: 'ignore',
      timeout: 10_000,
    }).status === 0
  );
}

/** Loads an archive into the Docker engine. Throws KILN_ENGINE_LOAD when it refuses. */
export async function dockerLoad(
  archive: string,
  signal: AbortSignal,
  hint = 'the image is in the local store: mend the engine, then build again with --load',
): Promise<void> {
  // The archive goes through standard input, because the client may not see Kiln's files: it may
  // run in a container or from a snap package.
  const input = openSync(archive, 'r');
  let code: number | null;
  let stderr = '';
  try {
    const child = spawn('docker', ['load', '--quiet'], {
      stdio: [input, 'ignore', 'pipe'],
      signal,
    });
    child.stderr?.setEncoding('utf8').on('data', (text) => (stderr += text));
    code = await new Promise<number | null>((done, fail) =>
      child.once('error', fail).once('close', done),
    );
  } finally {
    closeSync(input);
  }
  if (code !== 0)
    throw new KilnError(
      'KILN_ENGINE_LOAD',
      `the Docker engine did not load the image: ${stderr.trim()}`,
      { hint },
    );
}
