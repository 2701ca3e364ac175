import { bytes } from '../../base/units.ts';
import type { Engine } from '../../builder/engine.ts';
import { pruneLogs } from '../../builder/history/build-log.ts';
import { pruneLargeLogs } from '../../builder/history/prune-large.ts';
import { diskOf, prune, survey } from '../../cache/gc/collect.ts';
import { parseFilterFlags } from '../../cache/gc/filter.ts';
import { plan, totalSize, type Victim } from '../../cache/gc/plan.ts';
import type { PrunePolicy } from '../../cache/gc/policy.ts';
import {
  type Command,
  collect,
  newCommand,
  parseArguments,
  parseBytes,
  rejectCombination,
} from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { configPath } from '../config-path.ts';
import { openLocalEngine } from '../engine.ts';
import { readGcPolicies } from '../gc-config.ts';
import { applyHistoryLimits } from '../history-limits.ts';
import { stdout } from '../output.ts';
import { confirmed } from '../prompt.ts';
import { itemTable } from './du.ts';

interface Flags {
  readonly all?: boolean;
  readonly filter?: string[];
  readonly keepStorage?: string;
  readonly reservedSpace?: string;
  readonly maxUsedSpace?: string;
  readonly minFreeSpace?: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly auto?: boolean;
  readonly verbose?: boolean;
}

export function declareCommand(): Command {
  return newCommand('prune', 'Remove build cache')
    .option('-a, --all', 'include internal items, and records of steps whose layers an image uses')
    .option(
      '--filter <filter>',
      'remove only items that match: type=, id=, until=24h, inuse, mutable, description~=',
      collect,
    )
    .option('--reserved-space <size>', 'amount of disk space always allowed to keep for cache')
    .option('--keep-storage <size>', 'the old name of --reserved-space')
    .option('--max-used-space <size>', 'maximum amount of disk space allowed to keep for cache')
    .option('--min-free-space <size>', 'target amount of free disk space after pruning')
    .option('-f, --force', 'do not prompt for confirmation')
    .option('--dry-run', 'show what would be removed and why, but remove nothing')
    .option('--auto', 'apply the policies of kiln.toml, as builds do')
    .option('--verbose', 'no effect');
}

/**
 * `kiln prune`: removes build cache. Keeps what a running process uses and what images with a name
 * need.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  rejectCombination(command, '--keep-storage', ['--reserved-space']);
  rejectCombination(command, '--auto', [
    '--all',
    '--filter',
    '--reserved-space',
    '--keep-storage',
    '--max-used-space',
    '--min-free-space',
  ]);
  const flags = command.opts<Flags>();
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const policies = await policiesOf(flags, engine);
  if (flags.dryRun) {
    report(plan(survey(engine), policies, diskOf(engine.store.root), Date.now()), 'Would free');
    return 0;
  }
  const what = `This will remove ${flags.all ? 'all' : 'all dangling'} build cache.`;
  if (!flags.force && !flags.auto && !(await confirmed(what))) return 0;
  if (flags.auto) {
    await applyHistoryLimits(engine.store.logs, configPath(process.env));
    pruneLogs(engine.store.logs);
    pruneLargeLogs(engine.store.logs);
  }
  report(await prune(engine, policies, cancel.signal), 'Freed');
  return 0;
}

async function policiesOf(flags: Flags, engine: Engine): Promise<readonly PrunePolicy[]> {
  if (flags.auto)
    return (await readGcPolicies(configPath(process.env), diskOf(engine.store.root))) ?? [];
  const size = (text: string | undefined, flag: string) =>
    text === undefined ? 0 : parseBytes(text, flag);
  return [
    {
      name: '',
      ...parseFilterFlags(flags.filter ?? []),
      all: flags.all === true,
      reserved: size(flags.reservedSpace ?? flags.keepStorage, '--reserved-space'),
      maxUsed: size(flags.maxUsedSpace, '--max-used-space'),
      minFree: size(flags.minFreeSpace, '--min-free-space'),
    },
  ];
}

function report(victims: readonly Victim[], what: string): void {
  const reasons = new Map(
    victims.map(({ item, reason }) => [item, `${item.description}: ${reason}`]),
  );
  const items = victims.map(({ item }) => item);
  if (items.length > 0) stdout.write(`${itemTable(items, (item) => reasons.get(item) ?? '')}\n`);
  stdout.write(`${what} ${bytes(totalSize(items))}\n`);
}
