import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { arch } from 'node:os';
import { join } from 'node:path';
import { testImage } from '../test/rig.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string };
}

const digestOf = (bytes: Uint8Array) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/**
 * Pushes the test image `image` to a registry as `image:latest`, with new layers: an engine whose
 * store already has the layers of the test image would have nothing to pull. Each layer gets one
 * more file and is packed by `gzip -6`, as most layers in registries are. `scratch` is a directory
 * for temporary files.
 */
export async function pushAsNew(image: string, registry: string, scratch: string): Promise<void> {
  mkdirSync(scratch, { recursive: true });
  execFileSync('tar', ['-xf', testImage(image), '-C', scratch]);
  const blob = (digest: string) => join(scratch, 'blobs', digest.replace(':', '/'));
  const json = (digest: string) => JSON.parse(readFileSync(blob(digest), 'utf8'));
  const base = `http://${registry}/v2/${image}`;
  const push = async (bytes: Uint8Array): Promise<{ digest: string; size: number }> => {
    const digest = digestOf(bytes);
    const begun = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
    const place = new URL(begun.headers.get('location') ?? '', base);
    place.searchParams.set('digest', digest);
    await expectOk(await fetch(place, { method: 'PUT', body: Buffer.from(bytes) }));
    return { digest, size: bytes.length };
  };
  try {
    const manifest = json(manifestOf(readIndex(join(scratch, 'index.json')), json));
    const config = json(manifest.config.digest);
    const layers: Descriptor[] = [];
    for (const [index, layer] of manifest.layers.entries()) {
      const tar = join(scratch, 'layer.tar');
      execFileSync('sh', ['-c', 'zcat "$1" >"$2"', 'sh', blob(layer.digest), tar]);
      const marker = `.bench-${image}-${index}`;
      writeFileSync(join(scratch, marker), `${Date.now()}\n`);
      execFileSync('tar', ['-rf', tar, '-C', scratch, marker]);
      config.rootfs.diff_ids[index] = digestOf(readFileSync(tar));
      execFileSync('gzip', ['-6', '-n', tar]);
      layers.push({ ...layer, ...(await push(readFileSync(`${tar}.gz`))) });
      rmSync(`${tar}.gz`);
    }
    const described = { ...manifest.config, ...(await push(encoded(config))) };
    const body = encoded({ ...manifest, mediaType: MANIFEST, config: described, layers });
    await expectOk(
      await fetch(`${base}/manifests/latest`, {
        method: 'PUT',
        headers: { 'content-type': MANIFEST },
        body: Buffer.from(body),
      }),
    );
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value));

const readIndex = (path: string): readonly Descriptor[] =>
  JSON.parse(readFileSync(path, 'utf8')).manifests;

/** The digest of this machine's manifest: the index of an archive may lead to another index. */
function manifestOf(
  entries: readonly Descriptor[],
  json: (digest: string) => { readonly manifests: readonly Descriptor[] },
): string {
  const wanted = arch() === 'x64' ? 'amd64' : arch();
  const entry =
    entries.find(({ platform }) => platform?.architecture === wanted) ??
    entries.find(({ mediaType }) => mediaType === INDEX);
  if (!entry) throw new Error(`the test image has no manifest for ${wanted}`);
  return entry.mediaType === INDEX ? manifestOf(json(entry.digest).manifests, json) : entry.digest;
}

async function expectOk(response: Response): Promise<void> {
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${await response.text()}`);
}
