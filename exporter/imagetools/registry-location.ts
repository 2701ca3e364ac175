import type { Digest } from '../../base/digest.ts';
import type { Descriptor } from '../../base/oci.ts';
import { formatReference, type Reference, repositoryOf, wantedOf } from '../../base/reference.ts';
import type { RegistryClient } from '../../registry/client.ts';
import { registrySource } from '../copy/registry-source.ts';
import type { ImageLocation } from './image-location.ts';

interface Access {
  readonly client: RegistryClient;
  readonly signal: AbortSignal;
}

/** An image in a repository of a registry. */
export function registryLocation(reference: Reference, access: Access): ImageLocation {
  const { client, signal } = access;
  const { domain, path } = reference;
  const repository = { domain, path };
  return {
    name: formatReference(reference),
    home: repositoryOf(reference),
    target: { kind: 'registry', reference },
    nameOf: (digest) => formatReference({ ...reference, digest }),
    at: (digest) => registryLocation({ ...repository, digest }, access),
    root: () => client.manifest(repository, wantedOf(reference), signal),
    document: ({ digest }) => client.manifest(repository, digest, signal),
    blob: (descriptor: Descriptor, limit: number) =>
      client.readBlob(repository, descriptor, limit, signal),
    referrers: (subject: Digest) => client.referrers(repository, subject, signal),
    open: () => registrySource(client, reference, signal),
  };
}
