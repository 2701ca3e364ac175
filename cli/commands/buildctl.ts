import { KilnError } from '../../base/errors.ts';
import { type Command, parseArguments } from '../arguments.ts';
import type { BuildFlags } from '../buildctl/build-words.ts';
import type { PruneFlags, UsageFlags } from '../buildctl/disk.ts';
import {
  declareBuildctl,
  declareBuildctlBuild,
  declarePrune,
  declareUsage,
  declareWorkers,
} from '../buildctl/flags.ts';
import { type ConnectFlags, serverAddress } from '../buildctl/server-address.ts';
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
  const [first, ...rest] = command.args;
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
  if (first === 'build' || first === 'b') return await build(rest, server);
  throw unknown(first);
}

async function debug(words: readonly string[], server: ConnectFlags): Promise<number> {
  const [first, ...rest] = words;
  if (first === 'workers')
    return await withFlags(declareWorkers(), rest, async (flags: WorkersFlags) =>
      (await import('../buildctl/workers.ts')).printWorkers(server, flags),
    );
  if (first === 'info') return await (await import('../buildctl/workers.ts')).printInfo(server);
  throw unknown(`debug ${first ?? ''}`.trimEnd());
}

/** Builds in this process. It shares the store with the server, as two `kiln build` do. */
async function build(words: readonly string[], server: ConnectFlags): Promise<number> {
  const address = serverAddress(server);
  if (!address.startsWith('unix://'))
    throw new KilnError('KILN_USAGE', `buildctl cannot build at ${address}: it builds here`, {
      place: { kind: 'flag', flag: '--addr' },
      hint: 'build with docker buildx and the remote driver',
      exitCode: 2,
    });
  return await withFlags(declareBuildctlBuild(), words, async (flags: Record<string, unknown>) => {
    if (process.getuid?.() !== 0) (await import('../rootless.ts')).enterUserNamespace();
    const { buildWords } = await import('../buildctl/build-words.ts');
    // Commander knows --no-cache as the negation of a flag that is on.
    const given: BuildFlags = { ...flags, noCache: flags['cache'] === false };
    return await (await import('./build.ts')).run(buildWords(given));
  });
}

async function withFlags<T extends object>(
  command: Command,
  words: readonly string[],
  work: (flags: T) => Promise<number>,
): Promise<number> {
  return parseArguments(command, words) ? await work(command.opts<T>()) : 0;
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
    { hint: 'use debug workers, debug info, dial-stdio, du, prune or build', exitCode: 2 },
  );
}
