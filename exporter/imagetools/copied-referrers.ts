import type { Digest } from '../../base/digest.ts';
import type { Descriptor } from '../../base/oci.ts';
import type { RegistryClient, Repository } from '../../registry/client.ts';
import { readTree } from '../copy/copy-source.ts';
import { registrySource } from '../copy/registry-source.ts';
import type { PushImage } from '../push-image.ts';

/** Signatures of attestations, and what refers to those. */
const DEEPEST = 3;
/** Nobody has more. A registry could name any number. */
const MOST = 1000;

/**
 * What refers to documents of a repository: attestations and signatures that name one of `subjects`
 * or another referrer as their subject, with their blobs. Each is found once, and none that `seen`
 * has, to which they are added. Rejects with the errors of the registry.
 */
export async function referrersOf(
  client: RegistryClient,
  repository: Repository,
  subjects: readonly Digest[],
  seen: Set<Digest>,
  signal: AbortSignal,
): Promise<PushImage[]> {
  const found: PushImage[] = [];
  let level = subjects;
  for (let depth = 0; depth < DEEPEST && level.length > 0; depth++) {
    const lists = await Promise.all(
      level.map((subject) => client.referrers(repository, subject, signal)),
    );
    const fresh = lists.flat().filter(({ digest }) => !seen.has(digest) && seen.add(digest));
    const trees = await Promise.all(
      fresh.slice(0, MOST - found.length).map((one) => treeOf(client, repository, one, signal)),
    );
    found.push(...trees);
    level = trees.map(({ root }) => root.digest);
  }
  return found;
}

async function treeOf(
  client: RegistryClient,
  { domain, path }: Repository,
  { digest }: Descriptor,
  signal: AbortSignal,
): Promise<PushImage> {
  return readTree(await registrySource(client, { domain, path, digest }, signal));
}
