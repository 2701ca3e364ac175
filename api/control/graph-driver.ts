import type { ImageConfig } from '../../base/oci.ts';
import type { BuildDriver } from '../../builder/bridge.ts';
import type { BuildRequest } from '../../builder/request.ts';
import { parseConfig } from '../../registry/parse-document.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { parseDefinition } from '../../solver/llb/parse.ts';
import { plainConfig } from '../gateway/plain-config.ts';
import type { SolveRequest } from '../proto/control.gen.ts';
import { IMAGE_CONFIG } from './outputs.ts';

/**
 * Returns a driver that answers with the graph of the request, or undefined when a frontend is to
 * be asked. Throws KILN_LLB_MALFORMED, and KILN_CONFIG_INVALID for the config that an output has.
 */
export function graphDriver(request: SolveRequest, asked: BuildRequest): BuildDriver | undefined {
  if (request.frontend !== '') return undefined;
  const edge = parseDefinition(request.definition ?? new Uint8Array());
  const platform = hostPlatform();
  const config = configOf(request) ?? plainConfig(platform);
  return async () => ({
    request: asked,
    targets: [{ platform, edge, config, isGraph: true }],
    dockerfile: undefined,
  });
}

/** The config that an output brings for the graph. */
function configOf({ exporters, exporterAttrsDeprecated }: SolveRequest): ImageConfig | undefined {
  const attrs = [...exporters.map((exporter) => exporter.attrs), exporterAttrsDeprecated];
  const text = attrs.map((each) => each[IMAGE_CONFIG]).find((found) => found !== undefined);
  if (text === undefined) return undefined;
  const { rootfs: _, ...config } = parseConfig(Buffer.from(text), `${IMAGE_CONFIG} of an output`);
  return config;
}
