import { KilnError } from '../../base/errors.ts';
import { type Command, parseArguments } from '../arguments.ts';
import type { LogsFlags } from '../buildctl/blobs.ts';
import type { BuildFlags } from '../buildctl/build.ts';
import type { PruneFlags, UsageFlags } from '../buildctl/disk.ts';
import type { DumpGraphFlags } from '../buildctl/dump-graph.ts';
import {
  declareBuildctl,
  declareBuildctlBuild,
  declareDumpGraph,
  declareGet,
  declareHistories,
  declareInfo,
  declareLogs,
  declareMonitor,
  declarePrune,
  declareUsage,
  declareWorkers,
} from '../buildctl/flags.ts';
import type { HistoriesFlags, MonitorFlags } from '../buildctl/histories.ts';
import type { ConnectFlags } from '../buildctl/server-address.ts';
import type { WorkersFlags } from '../buildctl/workers.ts';
import { stdout } from '../output.ts';
import { VERSION } from '../version.ts';

export { declareBuildctl as declareCommand };

/**
 * `kiln buildctl`, also called `buildctl`: the commands by which other programs reach a server in a
 * container, and the ones that people type there.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareBuildctl();
  if (!parseArguments(command, argv, { passesThrough: true })) return 0;
  const server = command.opts<ConnectFlags & { version?: boolean }>();
  if (server.version) return await printVersion();
  try {
    return await runWords(command.args, server);
  } catch (error) {
    if (server.debug) (await import('../buildctl/debug-stacks.ts')).printStacks(error);
    throw error;
  }
}

async function runWords(words: readonly string[], server: ConnectFlags): Promise<number> {
  const [first, ...rest] = words;
  if (first === 'debug') return await debug(rest, server);
  if (first === 'dial-stdio')
    return await (await import('../buildctl/dial-stdio.ts')).dialStdio(server);
  if (first === 'du')
    return await withFlags(declareUsage(), rest, async (flags: UsageFlags) =>
      (await import('../buildctl/disk.ts')).printUsage(server, flags),
    );
  if (first === 'prune')
    return await withFlags(declarePrune(), rest, async (flags: PruneFlags) =>
      (await import('../buildctl/disk.ts')).pruneServer(server, flags),
    );
  if (first === 'prune-histories')
    return await withFlags(declareHistories(first), rest, async (flags: HistoriesFlags) =>
      (await import('../buildctl/histories.ts')).pruneHistories(server, flags),
    );
  if (first === 'build' || first === 'b')
    return await withFlags(declareBuildctlBuild(), rest, async (flags: BuildFlags) =>
      (await import('../buildctl/build.ts')).buildAt(server, flags),
    );
  throw unknown(first);
}

async function debug(words: readonly string[], server: ConnectFlags): Promise<number> {
  const [first, ...rest] = words;
  if (first === 'workers')
    return await withFlags(declareWorkers(), rest, async (flags: WorkersFlags) =>
      (await import('../buildctl/workers.ts')).printWorkers(server, flags),
    );
  if (first === 'info')
    return await withFlags(declareInfo(), rest, async () =>
      (await import('../buildctl/workers.ts')).printInfo(server),
    );
  if (first === 'histories')
    return await withFlags(
      declareHistories('debug histories'),
      rest,
      async (flags: HistoriesFlags) =>
        (await import('../buildctl/histories.ts')).printHistories(server, flags),
    );
  if (first === 'monitor')
    return await withFlags(declareMonitor(), rest, async (flags: MonitorFlags) =>
      (await import('../buildctl/histories.ts')).monitor(server, flags),
    );
  if (first === 'logs')
    return await withFlags(declareLogs(), rest, async (flags: LogsFlags, ref = '') =>
      (await import('../buildctl/blobs.ts')).printLogs(server, ref, flags),
    );
  if (first === 'get')
    return await withFlags(declareGet(), rest, async (_flags: object, digest = '') =>
      (await import('../buildctl/blobs.ts')).printBlob(server, digest),
    );
  if (first === 'dump-llb')
    return await withFlags(declareDumpGraph(), rest, async (flags: DumpGraphFlags, file) =>
      (await import('../buildctl/dump-graph.ts')).dumpGraph(file, flags),
    );
  throw unknown(`debug ${first ?? ''}`.trimEnd());
}

async function withFlags<T extends object>(
  command: Command,
  words: readonly string[],
  work: (flags: T, first: string | undefined) => Promise<number>,
): Promise<number> {
  return parseArguments(command, words) ? await work(command.opts<T>(), command.args[0]) : 0;
}

async function printVersion(): Promise<number> {
  const { serverVersion } = await import('../../api/control/workers.ts');
  const { package: name, version, revision } = serverVersion(VERSION);
  stdout.write(`buildctl ${name} ${version} ${revision}\n`);
  return 0;
}

function unknown(words: string | undefined): KilnError {
  return new KilnError(
    'KILN_UNKNOWN_COMMAND',
    words === undefined ? 'buildctl needs a command' : `buildctl has no command ${words}`,
    { hint: "'buildctl --help' lists the commands", exitCode: 2 },
  );
}
