import { findLog, readLog } from '../../builder/history/build-log.ts';
import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { openLocalEngine } from '../engine.ts';
import { renderExplanation } from '../explanation.ts';
import { stdout } from '../output.ts';

export function declareCommand(): Command {
  return newCommand('explain', 'Explain why the steps of a build were not cached').argument(
    '[build]',
    'the ID of a build, or the beginning of its ID (default: the last build)',
  );
}

/** `kiln explain [BUILD]`: prints, from the log of a build, why its steps were not cached. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  await using engine = openLocalEngine();
  const id = findLog(engine.store.logs, command.args[0]);
  stdout.write(`build ${id}: ${renderExplanation(readLog(engine.store.logs, id).events)}`);
  return 0;
}
