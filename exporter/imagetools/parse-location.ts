import { parseReference } from '../../base/reference.ts';
import type { RegistryClient } from '../../registry/client.ts';
import { isLayoutReference, parseLayoutReference } from '../../registry/layout.ts';
import type { ImageLocation } from './image-location.ts';
import { layoutLocation } from './layout-location.ts';
import { registryLocation } from './registry-location.ts';

export interface LocationOptions {
  readonly client: RegistryClient;
  readonly signal: AbortSignal;
  /** Makes the path of a layout absolute. */
  readonly resolvePath: (path: string) => string;
}

/**
 * Parses a name in a registry, or `oci-layout://PATH[:TAG][@DIGEST]`. Nothing is read. Throws
 * KILN_REFERENCE_INVALID.
 */
export function parseLocation(text: string, options: LocationOptions): ImageLocation {
  if (!isLayoutReference(text)) return registryLocation(parseReference(text), options);
  const { path, ...named } = parseLayoutReference(text);
  return layoutLocation({ path: options.resolvePath(path), ...named }, options.signal);
}
