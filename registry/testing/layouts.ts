import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hexOf } from '../../base/digest.ts';
import { MEDIA } from '../../base/oci.ts';
import type { TestImage } from './images.ts';

/** Writes an OCI image layout directory with these images, each under a tag. */
export function writeLayout(
  path: string,
  images: readonly (readonly [image: TestImage, tag: string])[],
): void {
  const blobs = join(path, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  writeFileSync(join(path, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  const manifests = images.map(([image, tag]) => {
    for (const [digest, bytes] of image.blobs) writeFileSync(join(blobs, hexOf(digest)), bytes);
    writeFileSync(join(blobs, hexOf(image.target.digest)), image.bytes);
    return { ...image.target, annotations: { 'org.opencontainers.image.ref.name': tag } };
  });
  writeFileSync(
    join(path, 'index.json'),
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests }),
  );
}
