/**
 * Holds the house to its plan: an import never points upwards (docs/architecture.md), only the command line ends the process (what calls
 * process.exit elsewhere does not know what else is in flight), trees that others fill are walked and removed by what can (docs/decisions/024), and each
 * dependency's licence is one we accept. Prints each breach; exit 1 when there is one.
 */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/** Rooms from the top down, and for each the rooms it may import from besides itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  cli: ['builder', 'frontend', 'exporter', 'solver', 'executor', 'cache', 'registry', 'snapshotter', 'base'],
  builder: ['frontend', 'exporter', 'solver', 'executor', 'cache', 'registry', 'snapshotter', 'base'],
  frontend: ['solver/llb', 'base'],
  exporter: ['solver', 'cache', 'registry', 'snapshotter', 'base'],
  solver: ['executor', 'cache', 'registry', 'snapshotter', 'base'],
  executor: ['snapshotter', 'base'],
  cache: ['registry', 'snapshotter', 'base'],
  registry: ['snapshotter', 'base'],
  snapshotter: ['base'],
  base: [],
};
const LICENCES = new Set([
  'MIT',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  'BlueOak-1.0.0',
  '0BSD',
  'CC0-1.0',
  'MIT OR Apache-2.0',
]);

/** Rooms that meet trees which others have filled. */
const FOREIGN = /^(?:snapshotter|cache|exporter|solver)\//;
/** Where a walk of such trees, and their removal, begins and ends. */
const WALKERS = new Set(['snapshotter/sys/treepaths.ts', 'snapshotter/sys/removal.ts', 'cache/select/tree-view.ts']);
/** They list directories whose names are all Kiln's own, and look at those names. */
const OWN_NAMES = new Set([
  'cache/gc/inventory.ts',
  'cache/gc/others.ts',
  'snapshotter/copying/filesystem.ts',
  'snapshotter/overlay/filelock.ts',
  'snapshotter/overlay/tidy.ts',
  'snapshotter/store/content.ts',
  'snapshotter/store/root.ts',
]);
/** They remove directories of Kiln's own making, with files of known names. */
const OWN_TREES = new Set(['solver/ops/git/gitdir.ts', 'solver/ops/git/ssh.ts', 'solver/ops/file/oracle.ts']);

/** What leads to paths that are longer than the system takes. */
function rawWalk(file: string, text: string): string | undefined {
  if (!FOREIGN.test(file) || WALKERS.has(file)) return undefined;
  if (/\brm(?:Sync)?\([^;]*recursive: true/.test(text) && !OWN_TREES.has(file))
    return 'removes a tree by its path: use removeTree (snapshotter/sys/removal.ts)';
  if (/\breaddirSync\b/.test(text) && /\bl?statSync\b/.test(text) && !OWN_NAMES.has(file))
    return 'walks a tree by whole paths: use TreePaths (snapshotter/sys/treepaths.ts) or rooted.ts';
  return undefined;
}

const breaches: string[] = [];
const rooms = Object.keys(MAY_IMPORT);

for (const file of globSync(`{${rooms.join(',')}}/**/*.ts`, { cwd: ROOT })) {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const room = file.split('/')[0] ?? '';
  const isTest = /\.test\.ts$|\/testing\/|testdata/.test(file);
  const isProgram = room === 'cli' || isTest || /\.(fixture|child)\.ts$/.test(file);
  if (!isProgram && /\bprocess\.(exit\(|exitCode\s*=|reallyExit|abort\()/.test(text))
    breaches.push(`${file}: ends the process, which only cli/ may`);
  const walk = isTest || /(?:\.fixture|\.contract|\.child|testing)\.ts$/.test(file) ? undefined : rawWalk(file, text);
  if (walk) breaches.push(`${file}: ${walk}`);
  for (const match of text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)) {
    const target = relative(ROOT, join(ROOT, dirname(file), match[1] ?? ''));
    const targetRoom = target.split('/')[0] ?? '';
    if (targetRoom === room || isTest || !rooms.includes(targetRoom)) continue;
    const allowed = (MAY_IMPORT[room] ?? []).some((name) => target === name || target.startsWith(`${name}/`));
    if (!allowed) breaches.push(`${file}: imports ${target}, which ${room}/ must not know`);
  }
}

const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, { license?: string; hasInstallScript?: boolean }>;
};
for (const [path, entry] of Object.entries(lock.packages)) {
  if (path === '' || !entry.license) continue;
  if (!LICENCES.has(entry.license))
    breaches.push(`package-lock.json: ${path} has the licence ${entry.license}, which is not on the list`);
}

for (const breach of breaches) console.error(breach);
process.exitCode = breaches.length > 0 ? 1 : 0;
