/**
 * `node oci-contents.ts ARCHIVE` prints what an image in an OCI archive is: its config, and the
 * entries of its layers above the base, without times. `peer.json` is what it prints of the image
 * that BuildKit (Docker 28.5) makes of examples/frontend/app.
 */
import { execFileSync } from 'node:child_process';

/** What an image is to its users. */
export interface OciContents {
  readonly config: unknown;
  /** Mode, owner, size and path of each entry. */
  readonly layers: readonly (readonly string[])[];
}

/** Reads the archive of an image of one platform. Leaves out the lowest layer, the base. */
export function ociContents(archive: string): OciContents {
  const file = (name: string) => execFileSync('tar', ['-xOf', archive, name]);
  const json = (name: string) => JSON.parse(file(name).toString());
  const blob = (digest: string) => `blobs/${digest.replace(':', '/')}`;
  const manifest = json(blob(json('index.json').manifests[0].digest));
  const layers = manifest.layers.slice(1).map(({ digest }: { digest: string }) =>
    execFileSync('tar', ['--numeric-owner', '-tvz'], { input: file(blob(digest)) })
      .toString()
      .trim()
      .split('\n')
      .map((line) =>
        line
          .split(/\s+/)
          .filter((_, at) => at !== 3 && at !== 4)
          .join(' '),
      ),
  );
  return { config: json(blob(manifest.config.digest)).config, layers };
}

if (import.meta.main)
  process.stdout.write(`${JSON.stringify(ociContents(process.argv[2] ?? ''), null, 2)}\n`);
