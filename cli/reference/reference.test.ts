import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { REGISTRY_KEYS } from '../../registry/config.ts';
import { FOLDER_NAMES } from '../../scripts/directions/sources.ts';
import { POLICY_KEYS } from '../gc-config.ts';
import { CONFIGURATION } from './configuration.ts';
import { describeCommands, leafCommands } from './describe.ts';
import { ENVIRONMENT } from './environment.ts';
import { commandName, wrap } from './text.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const commands = await describeCommands();

test('each argument and flag of each command has a description', () => {
  for (const command of leafCommands(commands)) {
    const silent = [...command.arguments, ...command.flags].filter(({ text }) => text === '');
    assert.equal(silent, [], commandName(command));
    assert.ok(
      command.flags.some(({ long }) => long === '--root') || command.flags.length === 0,
      commandName(command),
    );
  }
});

test('--no-cache-filter is described by this name, not by its name in commander', () => {
  const build = commands.find(({ words }) => words[0] === 'build')!;
  const flag = build.flags.find(({ long }) => long === '--no-cache-filter');
  assert.is(flag?.hidden, false);
  assert.is(flag?.several, true);
  assert.not(build.flags.some(({ long }) => long === '--nocache-filter'));
});

/** The names of environment variables that the code reads. */
function variablesInCode(): Set<string> {
  const files = globSync(`{${FOLDER_NAMES}}/**/*.{ts,cts}`, { cwd: ROOT }).filter(
    (path) => !/test|fixture|child/.test(path),
  );
  const names = files.flatMap((path) =>
    [...read(path).matchAll(/\benv(?:ironment)?(?:\['([A-Z_]+)'\]|\.([A-Z_]{3,})\b)/g)].map(
      (found) => found[1] ?? found[2] ?? '',
    ),
  );
  return new Set([
    ...names,
    ...[...read('kiln').matchAll(/\$\{([A-Z_]+):-/g)].map((found) => found[1] ?? ''),
  ]);
}

test('each environment variable that Kiln reads is in the table, and no other', () => {
  const described = new Set(
    ENVIRONMENT.flatMap(({ variables }) => variables.flatMap(({ names }) => names)),
  );
  const found = variablesInCode();
  assert.ok(found.size > 15, 'the names are found');
  assert.equal([...found].filter((name) => !described.has(name)).sort(), []);
  // Proxies and the variables for git are lists in the code, so this only looks for the names.
  const sources = globSync('{cli,registry,builder,solver}/**/*.ts', { cwd: ROOT }).filter(
    (path) => !path.includes('reference/'),
  );
  const text = [...sources, 'kiln'].map(read).join('\n');
  for (const name of described) assert.match(text, new RegExp(`\\b${name}\\b`), name);
});

const keysOf = (header: string) =>
  CONFIGURATION.find((table) => table.header === header)!.keys.map(({ name }) => name);

test('the described keys of kiln.toml are those that the code reads', () => {
  assert.equal(new Set(keysOf('[registry."HOST"]')), new Set(REGISTRY_KEYS));
  assert.equal(keysOf('[[worker.oci.gcpolicy]]').sort(), [...POLICY_KEYS].sort());
  const readers = globSync('{cli,builder}/**/{gc,network}-config.ts', { cwd: ROOT })
    .map(read)
    .join('\n');
  const known = new Set(
    [...readers.matchAll(/\bworker\['(\w+)'\]/g)].map((found) => found[1] ?? ''),
  );
  assert.equal(keysOf('[worker.oci]').sort(), [...known].sort());
});

test('wrapped text keeps code spans whole and stays within its width', () => {
  const text = `a \`code span with blanks\` ${'word '.repeat(60)}`;
  const wrapped = wrap(text, '  ');
  assert.ok(wrapped.split('\n').every((line) => line.length <= 100));
  assert.match(wrapped, /`code span with blanks`/);
  assert.is(wrapped.replace(/\s+/g, ' '), text.trim());
});

test.run();
