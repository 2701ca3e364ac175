/**
 * Loaded into Kiln by NODE_OPTIONS=--import: makes calls of `node:fs` fail as on a broken disk.
 * KILN_TEST_FAILING is `CALL PATH CODE`, such as `writeSync /out EIO`: every call of that name on a
 * file whose path has PATH in it throws that error of the system.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { constants } from 'node:os';

const [call = '', part = '', code = ''] = (process.env['KILN_TEST_FAILING'] ?? '').split(' ');

type Call = (...args: unknown[]) => unknown;

const calls = fs as unknown as Record<string, Call>;
const real = calls[call];
const readlink = fs.readlinkSync;

if (real) {
  const failing = (...args: unknown[]): unknown => {
    if (!pathOf(args[0]).includes(part)) return real(...args);
    const error = Object.assign(new Error(`${code}: ${call}`), {
      code,
      errno: -constants.errno[code as keyof typeof constants.errno],
      syscall: call.replace(/Sync$/, ''),
      ...(typeof args[0] === 'string' && { path: args[0] }),
    });
    const callback = args.at(-1);
    if (typeof callback !== 'function') throw error;
    process.nextTick(callback as () => void, error);
    return undefined;
  };
  calls[call] = Object.assign(failing, real);
  syncBuiltinESMExports();
}

function pathOf(file: unknown): string {
  if (typeof file !== 'number') return String(file);
  try {
    return readlink(`/proc/self/fd/${file}`);
  } catch {
    return '';
  }
}
