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
 * `kiln cache ls|inspect|rm|export|import`: manages cache mounts (RUN --mount=type=cache) and cache
 * records.
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
    'Manage cache mounts (RUN --mount=type=cache) and cache records',
    commands,
  );
}

function declareList(): Command {
  return newCommand('cache ls', 'List cache mounts, or with --records cache records')
    .option('--records', 'list cache records instead of cache mounts')
    .addOption(
      new Option('--format <format>', 'json: print one object per line').choices(['json']),
    );
}

function declareInspect(): Command {
  return newCommand(
    'cache inspect',
    'Print all details of a cache mount or cache record as JSON',
  ).argument('<name>', 'the ID of a cache mount, or the key of a cache record');
}

function declareRemove(): Command {
  return newCommand('cache rm', 'Remove cache mounts or cache records').argument(
    '<name...>',
    'IDs of cache mounts, or keys of cache records',
  );
}

function declareExport(): Command {
  return newCommand('cache export', 'Save cache mounts to a directory; writes only what is new')
    .argument('<directory>', 'a new directory, or one with an earlier export')
    .argument('[mount...]', 'IDs of cache mounts (default: all of them)');
}

function declareImport(): Command {
  return newCommand('cache import', "Restore cache mounts that 'kiln cache export' saved")
    .argument('<directory>', "the directory that 'kiln cache export' wrote")
    .argument('[mount...]', 'IDs of cache mounts (default: all of them)');
}

async function list(argv: readonly string[]): Promise<number> {
  const command = declareList();
  if (!parseArguments(command, argv)) return 0;
  const flags = command.opts<{ records?: boolean; format?: string }>();
  await using engine = openLocalEngine();
  const found = flags.records ? records(engine) : mounts(engine).map(jsonOfMount);
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
      shownStep(place),
    ]);
    stdout.write(table([['MOUNT', 'ID', 'SIZE', 'LAST USED', 'FIRST USED BY'], ...rows]));
  }
  return 0;
}

async function inspect(argv: readonly string[]): Promise<number> {
  const command = declareInspect();
  if (!parseArguments(command, argv)) return 0;
  const name = command.args[0] ?? '';
  await using engine = openLocalEngine();
  const found = [...findMounts(engine, name).map(jsonOfMount), ...findRecords(engine, name)];
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
  // A private mount (sharing=private) may have several copies, one for each step that ran at the
  // same time. Only the first is saved.
  const all = mounts(engine).filter(({ number, mountId }) => number === 0 && mountId !== '');
  const chosen =
    names.length === 0
      ? all
      : names.flatMap((name) =>
          requireFound(
            all.filter((place) => hasName(place, name)),
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
  const isSelected = ({ id }: { readonly id: string }) =>
    names.length === 0 || names.some((name) => sameId(id, name));
  const restored = await importMounts(engine.store, directory, isSelected, cancel.signal);
  for (const name of names)
    requireFound(
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
  return mounts(engine).filter((place) => hasName(place, name));
}

/**
 * Says whether `name` is the mount's id in the Dockerfile, or the ID that `kiln cache ls` shows.
 */
function hasName(place: CacheMountPlace, name: string): boolean {
  return sameId(place.mountId, name) || place.item.id === name;
}

/** Compares a mount's id with `name`. BuildKit adds a slash before each id of a Dockerfile. */
function sameId(id: string, name: string): boolean {
  return id === name || id === `/${name}`;
}

function shownId({ mountId, number }: CacheMountPlace): string {
  return `${mountId.replace(/^\//, '')}${number === 0 ? '' : ` (private ${number})`}`;
}

/** Mounts of one ID differ in what they start with, which only the commands tell people. */
function shownStep({ step = '' }: CacheMountPlace): string {
  const line = step.replace(/\s+/g, ' ');
  return line.length > STEP_SHOWN ? `${line.slice(0, STEP_SHOWN - 1)}…` : line;
}

const STEP_SHOWN = 60;

function jsonOfMount(place: CacheMountPlace): object {
  const { item, base, step, data } = place;
  const { id, size, inUse, created, used } = item;
  return { mount: shownId(place), id, base, step, size, inUse, created, used, directory: data };
}

function records(engine: Engine) {
  return recordsOf(engine.store);
}

function findRecords(engine: Engine, name: string) {
  return /^[0-9a-f]{8,64}$/.test(name)
    ? records(engine).filter(({ key }) => key.startsWith(name))
    : [];
}

function requireFound<T>(found: readonly T[], name: string): readonly T[] {
  if (found.length === 0) throw notFound(name);
  return found;
}

function notFound(name: string): KilnError {
  return new KilnError(
    'KILN_CACHE_NOT_FOUND',
    `there is no cache mount or cache record ${JSON.stringify(name)}`,
    {
      hint: "'kiln cache ls' lists cache mounts, 'kiln cache ls --records' lists cache records",
    },
  );
}
