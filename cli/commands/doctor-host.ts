import { newCommand, parseArguments } from '../arguments.ts';
import { stdout } from '../output.ts';
import { storeRoot } from '../session.ts';
import { doctor, doctorTable, isHealthy } from './doctor.ts';

/** `kiln doctor`: exit code 1 when something is missing without which nothing builds. */
export async function run(argv: readonly string[]): Promise<number> {
  if (!parseArguments(newCommand('doctor', 'Say what this host offers and what is missing'), argv)) return 0;
  const findings = doctor(storeRoot(process.env, process.getuid?.() ?? 0));
  stdout.write(doctorTable(findings));
  return isHealthy(findings) ? 0 : 1;
}
