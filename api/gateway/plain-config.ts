import { DEFAULT_PATH, type ImageConfig } from '../../base/oci.ts';
import type { Platform } from '../../base/platform.ts';

/** The config of an image whose maker says nothing of it, as BuildKit has it. */
export function plainConfig(platform: Platform): ImageConfig {
  const env = platform.os === 'windows' ? {} : { Env: [DEFAULT_PATH] };
  return { ...platform, config: { ...env, WorkingDir: '/' }, history: [] };
}
