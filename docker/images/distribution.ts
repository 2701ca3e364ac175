import { parseReference, wantedOf } from '../../base/reference.ts';
import { RegistryClient } from '../../registry/client.ts';
import { MAX_CONFIG, parseConfig } from '../../registry/parse-document.ts';
import { authHeader } from '../client/auth-headers.ts';
import { registryFor } from '../client/registry-for.ts';
import type { DockerHost } from '../docker-host.ts';
import { json } from '../http/answers.ts';
import type { Handler } from '../http/docker-request.ts';

/** `GET /distribution/{name}/json`: what a name means in its registry, and for which platforms. */
export function describeDistribution(host: DockerHost): Handler {
  return async ({ params: [name = ''], headers, signal }, response) => {
    const reference = parseReference(name);
    const credentials = authHeader(headers['x-registry-auth'], reference.domain);
    await using client = new RegistryClient(await registryFor(host, credentials));
    const wanted = wantedOf(reference);
    const { mediaType, digest, bytes, document } = await client.manifest(reference, wanted, signal);
    const platforms = async () => {
      if (document.kind === 'index')
        return document.index.manifests.flatMap(({ platform }) => (platform ? [platform] : []));
      const { config } = document.manifest;
      const text = await client.readBlob(reference, config, MAX_CONFIG, signal);
      const { os, architecture, variant } = parseConfig(text, config.digest);
      return [{ os, architecture, ...(variant && { variant }) }];
    };
    json(response, {
      Descriptor: { mediaType, digest, size: bytes.byteLength },
      Platforms: await platforms(),
    });
  };
}
