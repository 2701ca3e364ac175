import { join } from 'node:path';
import { stateDirectory } from '../engine.ts';
import { rootlessMap } from '../rootless.ts';

/** Returns the path of the socket on which `kiln serve` listens unless `--addr` says another. */
export function kilnSocket(): string {
  return join(stateDirectory(), 'buildkitd.sock');
}

/** Returns the path of the socket on which BuildKit listens, and to which buildctl connects. */
export function buildkitSocket(): string {
  const isRoot = process.getuid?.() === 0 && rootlessMap() === undefined;
  const runtime = isRoot ? undefined : process.env['XDG_RUNTIME_DIR'];
  return join(runtime || '/run', 'buildkit/buildkitd.sock');
}
