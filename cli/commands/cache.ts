import { join } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { didYouMean } from '../../base/suggest.ts';
import { bytes } from '../../base/units.ts';
import type { Engine } from '../../builder/engine.ts';
import { type CacheMountPlace, cacheMountPlaces } from '../../cache/gc/others.ts';
import { recordsOf } from '../../cache/records.ts';
import {
  type Command,
  groupUsage,
  newCommand,
  newGroup,
  Option,
  parseArguments,
} from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { ago, table } from '../table.ts';

const SUBCOMMANDS = { ls: list, inspect, rm: remove, export: save, import: restore } as const;

/**
 * `kiln cache ls|inspect|rm|export|import`: the directories of RUN --mount=type=cache, and the
 * records of steps.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const [name = '', ...rest] = argv;
  if (Object.hasOwn(SUBCOMMANDS, name))
    return await SUBCOMMANDS[name as keyof typeof SUBCOMMANDS](rest);
  if (name === '--help' || name === '-h' || name === 'help') {
    stdout.write(groupUsage(declareCommand()));
    return 0;
  }
  const names = Object.keys(SUBCOMMANDS);
  throw new KilnError(
    'KILN_USAGE',
    name === '' ? 'a command is missing' : `unknown command: cache ${name}`,
    {
      hint: `kiln cache ${names.join('|')}${didYouMean(name, names)}`,
      exitCode: 2,
    },
  );
}

export function declareCommand(): Command {
  const commands = [
    declareList(),
    declareInspect(),
    declareRemove(),
    declareExport(),
    declareImport(),
  ];
  return newGroup(
    'cache',
    'Looks after cache mounts (RUN --mount=type=cache) and the records of steps',
    commands,
  );
}

function declareList(): Command {
  return newCommand('cache ls', 'List cache mounts, or with --records the records of steps')
    .option('--records', 'the records of steps instead')
    .addOption(new Option('--format <format>', 'json: one object a line').choices(['json']));
}

function declareInspect(): Command {
  return newCommand(
    'cache inspect',
    'Print what is known of a cache mount or record as JSON',
  ).argument('<name>', 'the ID of a cache mount, or the key of a record');
}

function declareRemove(): Command {
  return newCommand('cache rm', 'Remove cache mounts or records').argument(
    '<name...>',
    'IDs of cache mounts, or keys of records',
  );
}

function declareExport(): Command {
  return newCommand('cache export', 'Save cache mounts to a directory: only what is new is written')
    .argument('<directory>', 'new, or one that holds an earlier export')
    .argument('[mount...]', 'IDs of cache mounts (default: all of them)');
}

function declareImport(): Command {
  return newCommand('cache import', 'Restore cache mounts from a directory that export wrote')
    .argument('<directory>', "what 'kiln cache export' wrote")
    .argument('[mount...]', 'IDs of cache mounts (default: all of them)');
}

async function list(argv: readonly string[]): Promise<number> {
  const command = declareList();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<{ records?: boolean; format?: string }>();
  await using engine = openLocalEngine();
  const found = flags.records ? records(engine) : mounts(engine).map(described);
  if (flags.format === 'json') for (const one of found) stdout.write(`${JSON.stringify(one)}\n`);
  else if (flags.records) {
    const rows = records(engine).map((one) => [
      one.key.slice(0, 24),
      ago(one.created),
      ago(one.used),
      one.description,
    ]);
    stdout.write(table([['KEY', 'CREATED', 'LAST USED', 'STEP'], ...rows]));
  } else {
    const rows = mounts(engine).map((place) => [
      shownId(place),
      place.item.id,
      bytes(place.item.size),
      place.item.inUse ? 'now' : ago(place.item.used),
    ]);
    stdout.write(table([['MOUNT', 'ID', 'SIZE', 'LAST USED'], ...rows]));
  }
  return 0;
}

async function inspect(argv: readonly string[]): Promise<number> {
  const command = declareInspect();
  if (!parseArguments(command, argv)) return 0;
  const name = command.args[0] ?? '';
  await using engine = openLocalEngine();
  const found = [...findMounts(engine, name).map(described), ...findRecords(engine, name)];
  if (found.length === 0) throw notFound(name);
  stdout.write(`${JSON.stringify(found, undefined, 2)}\n`);
  return 0;
}

async function remove(argv: readonly string[]): Promise<number> {
  const command = declareRemove();
  if (!parseArguments(command, argv)) return 0;
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const { removeMount } = await import('../../cache/saved/import.ts');
  for (const name of command.args) {
    const places = findMounts(engine, name);
    const keys = findRecords(engine, name);
    if (places.length + keys.length === 0) throw notFound(name);
    for (const { item } of places)
      await removeMount(item.content.paths ?? [], item.content.lock ?? '', cancel.signal);
    for (const { key } of keys) engine.store.db.run('DELETE FROM record WHERE key = ?', key);
    for (const place of places)
      stdout.write(`Removed: ${shownId(place)}, ${bytes(place.item.size)}\n`);
    for (const { description } of keys) stdout.write(`Removed the record of ${description}\n`);
  }
  return 0;
}

async function save(argv: readonly string[]): Promise<number> {
  const command = declareExport();
  if (!parseArguments(command, argv)) return 0;
  const [directory = '', ...names] = command.args;
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  // The copies of a private mount but the first are nobody's in particular.
  const all = mounts(engine).filter(({ number, mountId }) => number === 0 && mountId !== '');
  const chosen =
    names.length === 0
      ? all
      : names.flatMap((name) =>
          some(
            all.filter((place) => isCalled(place, name)),
            name,
          ),
        );
  const { exportMounts } = await import('../../cache/saved/export.ts');
  const { mounts: count, size, written } = await exportMounts(chosen, directory, cancel.signal);
  stdout.write(`saved ${count} cache mounts, ${bytes(size)}; ${bytes(written)} written\n`);
  return 0;
}

async function restore(argv: readonly string[]): Promise<number> {
  const command = declareImport();
  if (!parseArguments(command, argv)) return 0;
  const [directory = '', ...names] = command.args;
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const { importMounts } = await import('../../cache/saved/import.ts');
  const wanted = ({ id }: { readonly id: string }) =>
    names.length === 0 || names.some((name) => sameId(id, name));
  const restored = await importMounts(engine.store, directory, wanted, cancel.signal);
  for (const name of names)
    some(
      restored.filter(({ id }) => sameId(id, name)),
      name,
    );
  const size = restored.reduce((sum, mount) => sum + mount.size, 0);
  stdout.write(`restored ${restored.length} cache mounts, ${bytes(size)}\n`);
  return 0;
}

function mounts({ store }: Engine): CacheMountPlace[] {
  return cacheMountPlaces(join(store.root, 'caches'));
}

function findMounts(engine: Engine, name: string): CacheMountPlace[] {
  return mounts(engine).filter((place) => isCalled(place, name));
}

/** By its id as the Dockerfile has it, or by the ID that ls shows. */
function isCalled(place: CacheMountPlace, name: string): boolean {
  return sameId(place.mountId, name) || place.item.id === name;
}

/** BuildKit puts a slash before each id of a Dockerfile. */
function sameId(id: string, name: string): boolean {
  return id === name || id === `/${name}`;
}

function shownId({ mountId, number }: CacheMountPlace): string {
  return `${mountId.replace(/^\//, '')}${number === 0 ? '' : ` (private ${number})`}`;
}

function described(place: CacheMountPlace): object {
  const { item, base, data } = place;
  const { id, size, inUse, created, used } = item;
  return { mount: shownId(place), id, base, size, inUse, created, used, directory: data };
}

function records(engine: Engine) {
  return recordsOf(engine.store);
}

function findRecords(engine: Engine, name: string) {
  return /^[0-9a-f]{8,64}$/.test(name)
    ? records(engine).filter(({ key }) => key.startsWith(name))
    : [];
}

function some<T>(found: readonly T[], name: string): readonly T[] {
  if (found.length === 0) throw notFound(name);
  return found;
}

function notFound(name: string): KilnError {
  return new KilnError(
    'KILN_CACHE_NOT_FOUND',
    `there is no cache mount or record called ${JSON.stringify(name)}`,
    {
      hint: "'kiln cache ls' lists the mounts, with --records the records",
    },
  );
}
