import { resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { redactUrl } from '../../base/redact.ts';
import { gitState } from '../../builder/history/git-state.ts';
import { type ListedBuild, listBuilds } from '../../history/list-builds.ts';
import {
  type Command,
  collect,
  newCommand,
  parseArguments,
  rejectCombination,
} from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';
import { stdout } from '../output.ts';
import { ago } from '../table.ts';
import { escapeControls } from '../terminal/text.ts';
import { buildFilter } from './filter.ts';
import { STATE_NAMES, timeTaken } from './words.ts';

export function declareList(): Command {
  return newCommand('history ls', 'List the builds that have a record')
    .option('--filter <filter>', 'only builds that match, such as status=error', collect)
    .option('--format <format>', "format the output: 'table', 'json' or a Go template")
    .option('--local', 'only builds of the repository that the working directory is in')
    .option('--no-trunc', "don't truncate output")
    .option('-q, --quiet', 'only print the IDs of builds');
}

interface Flags {
  readonly filter?: readonly string[];
  readonly format?: string;
  readonly local?: boolean;
  readonly trunc: boolean;
  readonly quiet?: boolean;
}

const COLUMNS = {
  Ref: 'BUILD ID',
  Name: 'NAME',
  Status: 'STATUS',
  CreatedAt: 'CREATED AT',
  Duration: 'DURATION',
  Link: '',
};

/** `kiln history ls` */
export async function showBuilds(argv: readonly string[]): Promise<number> {
  const command = declareList();
  if (!parseArguments(command, argv)) return 0;
  rejectCombination(command, '--quiet', ['--format']);
  const { filter = [], format, local, trunc, quiet } = command.opts<Flags>();
  const matches = buildFilter([...filter, ...(local ? [`repository=${ownRepository()}`] : [])]);
  await using engine = openLocalEngine();
  const builds = listBuilds(engine.store.logs).filter(matches);
  // What runs comes first.
  builds.sort((a, b) => Number(b.state === 'running') - Number(a.state === 'running'));
  if (quiet) {
    for (const { ref } of builds) stdout.write(`${escapeControls(ref)}\n`);
    return 0;
  }
  if (format === 'json' || /^\{\{\s*json \.\s*\}\}$/.test(format ?? '')) {
    for (const build of builds) stdout.write(`${JSON.stringify(document(build))}\n`);
    return 0;
  }
  const isTable = format === undefined || /^table\b/.test(format);
  const { printRows } = await import('../template/rows.ts');
  const rows = builds.map((build) => row(build, trunc && isTable));
  printRows(rows, COLUMNS, ['Ref', 'Name', 'Status', 'CreatedAt', 'Duration'], format);
  return 0;
}

function ownRepository(): string {
  const remote = gitState(resolve('.'))?.remote;
  if (remote !== undefined) return redactUrl(remote);
  throw new KilnError(
    'KILN_USAGE',
    'the working directory is in no git repository that has a remote',
    { place: { kind: 'flag', flag: '--local' }, hint: 'leave --local out', exitCode: 2 },
  );
}

/** Longer names are cut at their beginning, as by buildx. */
const LONGEST_NAME = 36;

function row({ ref, name, state, started, ended }: ListedBuild, trunc: boolean) {
  const shown = escapeControls(name).replace(/\s+/g, ' ');
  const isLong = trunc && shown.length > LONGEST_NAME;
  const duration = timeTaken((ended ?? Date.now()) - started);
  return {
    Ref: escapeControls(ref),
    Name: isLong ? `..${shown.slice(2 - LONGEST_NAME)}` : shown,
    Status: STATE_NAMES[state],
    CreatedAt: ago(started),
    Duration: state === 'running' ? `${duration}+` : duration,
    Link: '',
  };
}

/** The fields of buildx, and how the build ended in Kiln's words. */
function document({ ref, id, name, state, started, ended, counts }: ListedBuild) {
  const { steps, completed, cached } = counts();
  return {
    ref,
    id,
    name,
    status: STATE_NAMES[state],
    created_at: new Date(started).toISOString(),
    ...(ended !== undefined && { completed_at: new Date(ended).toISOString() }),
    total_steps: steps,
    completed_steps: completed,
    cached_steps: cached,
  };
}
