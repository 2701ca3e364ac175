import { resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import type { Engine } from '../../builder/engine.ts';
import { readTree } from '../../exporter/copy/copy-source.ts';
import { layoutSource } from '../../exporter/copy/layout-source.ts';
import { copyToStore } from '../../exporter/copy/to-store.ts';
import { type OpenContents, openContents } from '../../images/contents/open-contents.ts';
import { findImage } from '../../images/find-image.ts';
import type { TransferReport } from '../../images/transfer-report.ts';
import type { StoredImage } from '../../snapshotter/images.ts';
import { parsePlace } from '../image/image-place.ts';

export interface OpenImageOptions {
  /** The host's by default. */
  readonly platform: Platform | undefined;
  readonly signal: AbortSignal;
  readonly report: TransferReport;
}

/**
 * Reads an image that a user names: by its name or ID in the store, or as `oci:DIRECTORY[:TAG]`,
 * `oci-archive:FILE[:TAG]` or `docker-archive:FILE[:NAME]`. The blobs of an archive are put into
 * the store, without a name.
 */
export async function openImage(
  engine: Engine,
  text: string,
  { platform, signal, report }: OpenImageOptions,
): Promise<OpenContents> {
  const image = await imageAt(engine, text, signal, report);
  return await openContents(engine, image, { platform, signal, report });
}

async function imageAt(
  engine: Engine,
  text: string,
  signal: AbortSignal,
  report: TransferReport,
): Promise<StoredImage> {
  const { images } = engine;
  if (!/^(?:store|oci|oci-archive|docker-archive):/.test(text)) return findImage(images, text);
  const place = parsePlace(text);
  if (place.kind === 'store') return findImage(images, place.name);
  if (place.kind === 'registry' || place.path === '-')
    throw new KilnError('KILN_REFERENCE_INVALID', `${JSON.stringify(text)} cannot be explored`, {
      hint: "give a name of 'kiln images', or the path of an archive",
      exitCode: 2,
    });
  const name = place.kind === 'docker-archive' ? place.name : place.tag;
  await using source = layoutSource(resolve(place.path), name, signal);
  const tree = await readTree(source);
  const digest = tree.root.digest;
  const kept = images.get(digest);
  await copyToStore(engine, tree, digest, { signal, report });
  const stored = images.get(digest)!;
  if (!kept) images.remove(digest);
  return { ...stored, name: digest };
}
