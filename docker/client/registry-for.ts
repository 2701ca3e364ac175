import type { RegistryOptions } from '../../registry/client.ts';
import type { CredentialSource } from '../../registry/credentials.ts';
import type { DockerHost } from '../docker-host.ts';

/** The settings for registries, with the login of this request alone. */
export async function registryFor(
  { engine }: DockerHost,
  credentials: CredentialSource,
): Promise<RegistryOptions> {
  return { ...(await engine.settings.registry()), credentials };
}
