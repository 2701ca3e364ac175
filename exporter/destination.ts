import { closeSync, constants, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CancelledError, errnoOf, KilnError } from '../base/errors.ts';
import { storeError } from '../snapshotter/store/errors.ts';
import type { Destination } from './options.ts';

/** How much is written to a file before other work, and the signal, get their turn. */
const YIELD_BYTES = 1 << 20;

/** Takes bytes in order. Awaited, it lets other work go on and does not run ahead of a slow reader. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

/**
 * Runs `body` with a sink over `destination`. A file appears under its name when it is whole, and not at all when `body` fails; a
 * device or a fifo is written as it is.
 */
export async function writeTo(
  destination: Destination,
  signal: AbortSignal,
  body: (sink: ByteSink) => Promise<void>,
): Promise<void> {
  if (destination.kind === 'stdout') return body(standardOutput(signal));
  if (destination.kind === 'stream') return body(destination);
  const path = resolve(destination.path);
  try {
    if (isSpecial(path)) await writeFileAt(path, constants.O_WRONLY, signal, body);
    else await writeNewFile(path, signal, body);
  } catch (error) {
    throw error instanceof KilnError ? error : outputError(error, path);
  }
}

async function writeNewFile(path: string, signal: AbortSignal, body: (sink: ByteSink) => Promise<void>): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.${basename(path).slice(0, 200)}.${process.pid}.part`);
  try {
    // `wx`: in a directory that others can write, the name must not be somebody's link.
    rmSync(temporary, { force: true });
    await writeFileAt(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, signal, body);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

async function writeFileAt(
  path: string,
  flags: number,
  signal: AbortSignal,
  body: (sink: ByteSink) => Promise<void>,
): Promise<void> {
  const fd = openSync(path, flags, 0o644);
  let sinceYield = 0;
  try {
    await body({
      async write(bytes) {
        for (let at = 0; at < bytes.byteLength; ) at += writeSync(fd, bytes, at);
        if ((sinceYield += bytes.byteLength) < YIELD_BYTES) return;
        sinceYield = 0;
        await new Promise(setImmediate);
        if (signal.aborted) throw new CancelledError(signal.reason);
      },
    });
  } finally {
    closeSync(fd);
  }
}

function standardOutput(signal: AbortSignal): ByteSink {
  if (process.stdout.isTTY) {
    throw new KilnError('KILN_OUTPUT_TERMINAL', 'an archive is not written to a terminal', {
      place: { kind: 'flag', flag: '--output' },
      hint: 'redirect standard output, or name a file with dest=',
    });
  }
  // A reader that goes away (`kiln save app | head`) ends the command, quietly.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => error.code === 'EPIPE' && process.exit(0));
  return {
    write(bytes) {
      if (signal.aborted) throw new CancelledError(signal.reason);
      return new Promise((done, fail) => {
        process.stdout.write(bytes, (error) => (error ? fail(error) : done()));
      });
    },
  };
}

function isSpecial(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) {
    throw new KilnError('KILN_OUTPUT_INVALID', `the destination ${path} is a directory`, {
      place: { kind: 'flag', flag: '--output' },
      hint: 'name a file with dest=, or write a directory with type=local or type=oci,tar=false',
    });
  }
  return stat !== undefined && !stat.isFile();
}

/** What the user should see for a failure while writing at `path`. */
export function outputError(error: unknown, path: string): unknown {
  switch (errnoOf(error)) {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
    case 'EEXIST':
    case 'ENOTDIR':
    case 'EISDIR':
    case 'ELOOP':
      return new KilnError('KILN_OUTPUT_UNWRITABLE', `the output cannot be written: ${errnoOf(error)} at ${path}`, {
        place: { kind: 'path', path },
        hint: 'choose another destination with dest=',
        cause: error,
      });
    default:
      return storeError(error, path);
  }
}
