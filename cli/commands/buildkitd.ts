import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildkitSocket } from '../daemon/default-socket.ts';
import { declareServer } from '../daemon/server-flags.ts';
import { homeDirectory } from '../user-directories.ts';
import { serveAs } from './serve.ts';

export { declareServer as declareCommand };

/** `buildkitd`: `kiln serve` with the socket and the configuration that BuildKit has by default. */
export async function run(argv: readonly string[]): Promise<number> {
  const files = ['/etc/buildkit', join(homeDirectory(process.env), '.config/buildkit')];
  const config = files.map((path) => join(path, 'buildkitd.toml')).find(existsSync);
  if (config !== undefined) process.env['KILN_CONFIG'] ||= config;
  return await serveAs(argv, { socket: buildkitSocket });
}
