import { renameat2 } from './calls.ts';
import { AT, RENAME } from './constants.ts';

/**
 * Exchanges two paths as fast as it can until it is killed. Tests race against it with symlinks.
 * Prints `ready` first.
 */
const [, , left, right] = process.argv;
process.stdout.write('ready\n');
for (;;) renameat2(AT.FDCWD, left!, AT.FDCWD, right!, RENAME.EXCHANGE);
