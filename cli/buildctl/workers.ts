import { Control } from '../../api/proto/control.gen.ts';
import type { Platform } from '../../api/proto/llb.gen.ts';
import type { WorkerRecord } from '../../api/proto/worker.gen.ts';
import { formatPlatform } from '../../base/platform.ts';
import { stdout } from '../output.ts';
import { table } from '../table.ts';
import { renderTemplate } from '../template/evaluate.ts';
import { withServer } from './open.ts';
import type { ConnectFlags } from './server-address.ts';

export interface WorkersFlags {
  readonly filter?: string[];
  readonly verbose?: boolean;
  readonly format?: string;
}

/** `buildctl debug workers`: lists the workers of the server. */
export async function printWorkers(
  server: ConnectFlags,
  { filter = [], verbose = false, format }: WorkersFlags,
): Promise<number> {
  const { record } = await withServer(server, (client, signal) =>
    client.unary(Control.method.listWorkers, { filter }, signal),
  );
  if (format !== undefined) stdout.write(`${renderTemplate(format, record.map(fields))}\n`);
  else if (verbose) stdout.write(record.map(details).join('\n'));
  else stdout.write(table([['ID', 'PLATFORMS'], ...record.map((one) => [one.id, all(one)])]));
  return 0;
}

/** `buildctl debug info`: prints the version of the server. */
export async function printInfo(server: ConnectFlags): Promise<number> {
  const { buildkitVersion } = await withServer(server, (client, signal) =>
    client.unary(Control.method.info, {}, signal),
  );
  stdout.write(`BuildKit: ${versionText(buildkitVersion)}\n`);
  return 0;
}

function versionText(
  version: { package: string; version: string; revision: string } | undefined,
): string {
  return version ? `${version.package} ${version.version} ${version.revision}` : 'unknown';
}

function all({ platforms }: WorkerRecord): string {
  return platforms.map(text).join(',');
}

function text({ os, architecture, variant }: Platform): string {
  return formatPlatform({ os, architecture, ...(variant !== '' && { variant }) });
}

function details(worker: WorkerRecord): string {
  const labels = Object.entries(worker.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return (
    `ID:         ${worker.id}\n` +
    `Platforms:  ${all(worker)}\n` +
    `BuildKit:   ${versionText(worker.buildkitVersion)}\n` +
    `Labels:\n${labels.map(([name, value]) => `  ${name}: ${value}\n`).join('')}`
  );
}

/** The names that templates for buildctl use. */
function fields({ id, labels, platforms }: WorkerRecord): object {
  return {
    id,
    labels,
    platforms: platforms.map(({ os, architecture, variant }) => ({
      architecture,
      os,
      ...(variant !== '' && { variant }),
    })),
  };
}
