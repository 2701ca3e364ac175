import { execFileSync } from 'node:child_process';
import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ARCHIVES } from './cases.ts';
import { SPEC_TIME } from './testing.ts';

/** Makes the archives of `cases.ts` in the directory `context`. */
export function makeArchives(context: string): void {
  for (const [name, directory, program] of ARCHIVES) {
    const tar = execFileSync('tar', [
      '-C',
      join(context, directory),
      '--numeric-owner',
      '--sort=name',
      '-c',
      '.',
    ]);
    const bytes = program === undefined ? tar : execFileSync(program, ['-c'], { input: tar });
    writeFileSync(join(context, name), bytes);
    utimesSync(join(context, name), SPEC_TIME, SPEC_TIME);
  }
  utimesSync(context, SPEC_TIME, SPEC_TIME);
}
