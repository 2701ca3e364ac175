import { type Command, newCommand, parseArguments } from '../arguments.ts';
import { stdout } from '../output.ts';
import { storeRoot } from '../store-root.ts';
import { doctor, doctorTable, isHealthy } from './doctor.ts';

export function declareCommand(): Command {
  return newCommand('doctor', 'Check what this host supports and what is missing');
}

/** `kiln doctor`: prints what it finds. Returns 1 when something is missing that builds need. */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv)) return 0;
  const findings = doctor(storeRoot(process.env, process.getuid?.() ?? 0));
  stdout.write(doctorTable(findings));
  return isHealthy(findings) ? 0 : 1;
}
