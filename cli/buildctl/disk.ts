import { Control, type UsageRecord } from '../../api/proto/control.gen.ts';
import { KilnError } from '../../base/errors.ts';
import { bytes } from '../../base/units.ts';
import { parseDuration } from '../../cache/gc/filter.ts';
import type { Item } from '../../cache/gc/item.ts';
import { totalSize } from '../../cache/gc/plan.ts';
import { serverStream } from '../../remote/calls.ts';
import { itemTable, totals } from '../commands/du.ts';
import { stdout } from '../output.ts';
import { withServer } from './open.ts';
import type { ConnectFlags } from './server-address.ts';

export interface UsageFlags {
  readonly filter?: string[];
  readonly format?: string;
}

export interface PruneFlags extends UsageFlags {
  readonly all?: boolean;
  readonly keepDuration?: string;
  readonly keepStorage?: string;
  readonly reservedSpace?: string;
  readonly maxUsedSpace?: string;
  readonly minFreeSpace?: string;
}

/** `buildctl du`: prints what takes space in the store of the server. */
export async function printUsage(
  server: ConnectFlags,
  { filter = [], format }: UsageFlags,
): Promise<number> {
  const { record } = await withServer(server, (client, signal) =>
    client.unary(Control.method.diskUsage, { filter }, signal),
  );
  const items = record.map(itemOf);
  if (format !== undefined) stdout.write(`${JSON.stringify(items.map(jsonOf))}\n`);
  else stdout.write(`${itemTable(items)}\n${totals(items)}`);
  return 0;
}

/** `buildctl prune`: removes cache from the store of the server, and prints what is gone. */
export async function pruneServer(server: ConnectFlags, flags: PruneFlags): Promise<number> {
  const asked = {
    filter: flags.filter ?? [],
    all: flags.all ?? false,
    keepDuration: nanoseconds(flags.keepDuration),
    reservedSpace: megabytes(flags.reservedSpace ?? flags.keepStorage, '--reserved-space'),
    maxUsedSpace: megabytes(flags.maxUsedSpace, '--max-used-space'),
    minFreeSpace: megabytes(flags.minFreeSpace, '--min-free-space'),
  };
  const items = await withServer(server, async (client, signal) => {
    const gone: Item[] = [];
    for await (const record of serverStream(client, Control.method.prune, asked, signal))
      gone.push(itemOf(record));
    return gone;
  });
  if (flags.format !== undefined) stdout.write(`${JSON.stringify(items.map(jsonOf))}\n`);
  else stdout.write(`${itemTable(items)}\nTotal:  ${bytes(totalSize(items))}\n`);
  return 0;
}

function nanoseconds(text: string | undefined): bigint {
  if (text === undefined) return 0n;
  return BigInt(Math.round(parseDuration(text, '--keep-duration'))) * 1_000_000n;
}

/** buildctl takes sizes as numbers of megabytes, which may have a fraction. */
function megabytes(text: string | undefined, flag: string): bigint {
  if (text === undefined) return 0n;
  const value = Number(text);
  if (!(value >= 0 && value < 1e12))
    throw new KilnError('KILN_FLAG_VALUE', `${JSON.stringify(text)} is not a number`, {
      place: { kind: 'flag', flag },
      hint: 'write a number of megabytes, such as 512',
      exitCode: 2,
    });
  return BigInt(Math.round(value * 1e6));
}

function itemOf(record: UsageRecord): Item {
  return {
    id: record.id,
    type: 'regular',
    parents: record.parents,
    description: record.description,
    size: Number(record.size),
    created: Number(record.createdAt?.seconds ?? 0n) * 1000,
    used: Number(record.lastUsedAt?.seconds ?? record.createdAt?.seconds ?? 0n) * 1000,
    inUse: record.inUse,
    shared: record.shared,
    mutable: record.mutable,
    garbage: false,
    fixed: false,
    content: {},
  };
}

function jsonOf({ id, parents, description, size, created, used, ...state }: Item): object {
  return {
    id,
    mutable: state.mutable,
    inUse: state.inUse,
    size,
    createdAt: new Date(created).toISOString(),
    lastUsedAt: new Date(used).toISOString(),
    description,
    shared: state.shared,
    parents,
  };
}
