import { digestOf } from '../../base/digest.ts';
import { RegistryClient } from '../client.ts';
import { never } from './client.ts';
import { makeIndex, type TestImage } from './images.ts';

/**
 * Puts images into a repository, with an index of them under `tag` (or just the manifest when there
 * is one image). Returns the name with the tag.
 */
export async function publish(
  host: string,
  path: string,
  tag: string,
  images: readonly TestImage[],
): Promise<string> {
  await using client = new RegistryClient();
  const repository = { domain: host, path };
  for (const image of images) {
    for (const bytes of image.blobs.values()) {
      const open = async function* (start = 0, end = bytes.length) {
        yield bytes.subarray(start, end);
      };
      await client.pushBlob(
        repository,
        { digest: digestOf(bytes), size: bytes.length, open },
        { signal: never() },
      );
    }
    await client.putManifest(
      repository,
      image.target.digest,
      image.target.mediaType,
      image.bytes,
      never(),
    );
  }
  const { target, bytes } = images.length === 1 ? images[0]! : makeIndex(images);
  await client.putManifest(repository, tag, target.mediaType, bytes, never());
  return `${host}/${path}:${tag}`;
}
