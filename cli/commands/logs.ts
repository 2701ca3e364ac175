import { KilnError } from '../../base/errors.ts';
import type { ProgressEvent } from '../../base/progress.ts';
import { bytes } from '../../base/units.ts';
import { findLog, logNames, readLog } from '../../builder/history/build-log.ts';
import { type Command, newCommand, parseArguments, rejectCombination } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';
import { requireWholeOutput, stdout } from '../output.ts';
import { createPlainView } from '../progress/plain.ts';
import { createRawJsonView } from '../progress/rawjson.ts';
import { seconds } from '../progress/seconds.ts';
import { ago, table } from '../table.ts';

export function declareCommand(): Command {
  return newCommand('logs', 'Print the full log of a build')
    .argument('[build]', 'the ID of a build, or the beginning of its ID (default: the last build)')
    .option('-l, --list', 'list the builds that have a log')
    .option('--json', 'print JSON, in the form of --progress=rawjson')
    .option('--usage', 'show time, CPU time and peak memory of each step instead of the output');
}

/** `kiln logs [BUILD]`: prints the log of the last build, or of the build with the given ID. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  rejectCombination(command, '--list', ['--json', '--usage']);
  rejectCombination(command, '--json', ['--usage']);
  if (command.args[0] !== undefined && command.opts()['list'] === true)
    throw new KilnError('KILN_USAGE', '--list lists all builds and takes no ID', {
      hint: `'kiln logs ${command.args[0]}' prints that log`,
      exitCode: 2,
    });
  const flags = command.opts<{ list?: boolean; json?: boolean; usage?: boolean }>();
  await using engine = openLocalEngine();
  const directory = engine.store.logs;
  if (flags.list) {
    stdout.write(
      table([
        ['BUILD', 'STARTED', 'CONTEXT', 'ENDED'],
        ...logNames(directory)
          .reverse()
          .map((id) => row(directory, id)),
      ]),
    );
    return 0;
  }
  const id = findLog(directory, command.args[0]);
  const { events, ended } = readLog(directory, id);
  if (flags.usage) {
    stdout.write(usageTable(events));
    return 0;
  }
  const view = flags.json ? createRawJsonView(stdout) : createPlainView(stdout);
  for (const event of events) view.event(event);
  view.close('done');
  if (!flags.json) stdout.write(`\nbuild ${id}: ${outcome(ended)}\n`);
  requireWholeOutput();
  return 0;
}

/** Returns a table of the steps that ran a process, in the order in which they ended. */
function usageTable(events: readonly ProgressEvent[]): string {
  const rows = events.flatMap((event) => {
    if (event.kind !== 'vertex' || !event.usage || event.completed === undefined) return [];
    const { cpuMs, peakMemory } = event.usage;
    return [
      [
        event.name,
        seconds(event.completed - (event.started ?? event.completed), 3),
        cpuMs === undefined ? '' : seconds(cpuMs, 3),
        peakMemory === undefined ? '' : bytes(peakMemory),
      ],
    ];
  });
  return table([['STEP', 'TIME', 'CPU', 'PEAK MEMORY'], ...rows]);
}

function row(directory: string, id: string): string[] {
  const { header, ended } = readLog(directory, id);
  return [id, ago(Number(header['started'] ?? 0)), String(header['context'] ?? ''), outcome(ended)];
}

function outcome(ended: Record<string, unknown> | undefined): string {
  if (!ended) return 'was killed';
  if (ended['code'] === 'KILN_CANCELLED') return 'was cancelled';
  return ended['error'] === undefined ? 'succeeded' : `failed: ${ended['error']}`;
}
