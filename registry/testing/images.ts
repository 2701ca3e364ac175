import { gzipSync } from 'node:zlib';
import { type Digest, digestOf } from '../../base/digest.ts';
import {
  type Descriptor,
  type ImageConfig,
  type Index,
  type Manifest,
  MEDIA,
} from '../../base/oci.ts';
import type { Platform } from '../../base/platform.ts';

/**
 * A small image with made-up content: documents and blobs by digest, ready to be put into a store,
 * a layout or a registry.
 */
export interface TestImage {
  readonly target: Descriptor;
  readonly bytes: Buffer;
  readonly manifest: Manifest;
  readonly config: ImageConfig;
  readonly blobs: ReadonlyMap<Digest, Buffer>;
}

/** Makes an image with one layer for each entry of `files`: a tar with that one file. */
export function makeImage(
  files: readonly { readonly name: string; readonly text: string }[],
  platform: Platform = { os: 'linux', architecture: 'amd64' },
): TestImage {
  const blobs = new Map<Digest, Buffer>();
  const keep = (mediaType: string, bytes: Buffer): Descriptor => {
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const tars = files.map(({ name, text }) => tarOf(name, Buffer.from(text)));
  const layers = tars.map((tar) => keep(MEDIA.ociLayerGzip, gzipSync(tar)));
  const config: ImageConfig = {
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant ? { variant: platform.variant } : {}),
    config: { Env: ['PATH=/bin'], Cmd: ['/hello'] },
    rootfs: { type: 'layers', diff_ids: tars.map((tar) => digestOf(tar)) },
  };
  const configDescriptor = keep(MEDIA.ociConfig, Buffer.from(JSON.stringify(config)));
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    config: configDescriptor,
    layers,
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  return {
    target: { mediaType: MEDIA.ociManifest, digest: digestOf(bytes), size: bytes.length, platform },
    bytes,
    manifest,
    config,
    blobs,
  };
}

export function makeIndex(images: readonly TestImage[]): {
  target: Descriptor;
  bytes: Buffer;
  index: Index;
} {
  const index: Index = {
    schemaVersion: 2,
    mediaType: MEDIA.ociIndex,
    manifests: images.map((image) => image.target),
  };
  const bytes = Buffer.from(JSON.stringify(index));
  return {
    target: { mediaType: MEDIA.ociIndex, digest: digestOf(bytes), size: bytes.length },
    bytes,
    index,
  };
}

/** A ustar archive of one regular file, ended by two zero blocks. */
export function tarOf(name: string, data: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000755\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${data.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([
    header,
    data,
    Buffer.alloc((512 - (data.length % 512)) % 512),
    Buffer.alloc(1024),
  ]);
}
