import type { Digest } from '../base/digest.ts';
import type { Descriptor } from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';
import { parseDocument } from '../registry/parse-document.ts';
import type { ContentStore } from '../snapshotter/content.ts';
import type { Solving } from './solving.ts';
import type { AttestationChain, ChainBlob } from './source-verifier.ts';

/** Statements of more bytes altogether are not sent along: a message has a limit. */
const MAX_STATEMENTS = 8 << 20;

/**
 * The documents that lead from the name of an image to what is attested about it: the index, the
 * attestation manifest, and the statements of the wanted `types`. An image without attestations has
 * its own document only. Throws the errors of the registry.
 */
export async function attestationChain(
  name: string,
  platform: Platform,
  types: readonly string[],
  content: ContentStore,
  { images, session, signal }: Pick<Solving, 'images' | 'session' | 'signal'>,
): Promise<AttestationChain> {
  const image = await images.resolve(name, platform, { pull: false, signal });
  const { target, manifestDigest } = image;
  const blobs = new Map<Digest, ChainBlob>();
  const put = (descriptor: Descriptor): Buffer => {
    const data = content.read(descriptor.digest);
    blobs.set(descriptor.digest, { descriptor, data });
    return data;
  };
  const chain = { root: target.digest, imageManifest: manifestDigest, blobs };
  const root = parseDocument(put(target), target.mediaType, name);
  const attested =
    root.kind === 'index' ? attestationOf(root.index.manifests, manifestDigest) : undefined;
  if (!attested) return chain;
  if (content.size(attested.digest) === undefined && image.origin.kind === 'registry') {
    const { RegistryClient } = await import('../registry/client.ts');
    await using client = new RegistryClient(session.registry);
    const { repository } = image.origin;
    content.put((await client.manifest(repository, attested.digest, signal)).bytes);
  }
  const about = parseDocument(put(attested), attested.mediaType, `the attestations of ${name}`);
  let left = MAX_STATEMENTS;
  for (const layer of about.kind === 'manifest' ? about.manifest.layers : []) {
    if (!types.includes(layer.annotations?.['in-toto.io/predicate-type'] ?? '')) continue;
    left -= layer.size;
    if (left < 0) break;
    await images.fetch(image, layer, { signal });
    put(layer);
  }
  return { ...chain, attestationManifest: attested.digest };
}

function attestationOf(manifests: readonly Descriptor[], manifest: Digest): Descriptor | undefined {
  return manifests.find(
    ({ annotations = {} }) =>
      annotations['vnd.docker.reference.type'] === 'attestation-manifest' &&
      annotations['vnd.docker.reference.digest'] === manifest,
  );
}
