import { type Command, newCommand, Option, parseArguments } from '../arguments.ts';
import { stdout } from '../output.ts';
import { storeRoot } from '../store-root.ts';
import { doctor, doctorTable, isHealthy } from './doctor.ts';

export function declareCommand(): Command {
  return newCommand('doctor', 'Check what this host supports and what is missing').addOption(
    new Option('--format <format>', 'json: print one object per finding').choices(['json']),
  );
}

/** `kiln doctor`: prints what it finds. Returns 1 when something is missing that builds need. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const findings = doctor(storeRoot(process.env, process.getuid?.() ?? 0));
  if (command.opts<{ format?: string }>().format === 'json')
    for (const finding of findings) stdout.write(`${JSON.stringify(finding)}\n`);
  else stdout.write(doctorTable(findings));
  return isHealthy(findings) ? 0 : 1;
}
