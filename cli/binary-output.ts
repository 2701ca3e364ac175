import { fstatSync } from 'node:fs';
import { CancelledError, KilnError } from '../base/errors.ts';
import { isOsError } from '../base/oserror.ts';
import type { Session } from '../builder/session.ts';
import { type About, descriptorSink, outputFailure, tryFile } from '../exporter/destination.ts';
import { type Destination, isStandardOutput, STANDARD_OUTPUT } from '../exporter/output-spec.ts';
import { closedOutputError, isClosed } from './output.ts';

/**
 * Returns a function that writes bytes to standard output, for a result such as an archive. It
 * opens standard output at the first call. It throws KILN_OUTPUT_TERMINAL for a terminal, an error
 * of the system when writing fails, and CancelledError when the signal is aborted. `flag` is the
 * flag or argument by which the user chose standard output.
 */
export function standardOutput(flag = '--output'): NonNullable<Session['output']> {
  let write: NonNullable<Session['output']> | undefined;
  return (bytes, signal, name) => (write ??= open(signal, flag))(bytes, signal, name);
}

/**
 * Returns the destination of an archive at the absolute `path`, or for one of the names of standard
 * output. `flag` is the flag or argument that names it. Throws when it cannot be written.
 */
export function archiveDestination(path: string, flag: string, signal: AbortSignal): Destination {
  if (!isStandardOutput(path)) {
    tryFile({ path, flag });
    return { kind: 'file', path };
  }
  if (isClosed(1)) throw closedOutputError();
  const write = standardOutput(flag);
  return { kind: 'stream', write: (bytes) => write(bytes, signal, STANDARD_OUTPUT) };
}

const STDOUT: About = {
  what: 'standard output cannot be written',
  hint: {
    ENOSPC: 'free space on the disk that it is redirected to, or redirect it elsewhere',
    EDQUOT: 'free space within the quota where it is redirected to, or redirect it elsewhere',
    EPIPE: 'the program that reads it ended too early: look at why it ended',
  },
};

let listening = false;

function open(signal: AbortSignal, flag: string): NonNullable<Session['output']> {
  if (process.stdout.isTTY) {
    throw new KilnError('KILN_OUTPUT_TERMINAL', 'an archive is not written to a terminal', {
      place: { kind: 'flag', flag },
      hint: 'redirect standard output, or name a file',
    });
  }
  const stat = fstatSync(1);
  // Node's stream for a file treats a short write, as on a disk that is almost full, as a complete
  // one.
  if (!stat.isFIFO() && !stat.isSocket()) {
    const sink = descriptorSink(1, STDOUT, signal);
    return (bytes) => sink.write(bytes);
  }
  // Each failure is reported to the callback of its write. An error event that nothing handles
  // would end the process as well.
  if (!listening) process.stdout.on('error', () => undefined);
  listening = true;
  return writePiped;
}

async function writePiped(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw new CancelledError(signal.reason);
  await new Promise<void>((done, fail) => {
    // The reader may have stalled, so cancelling must not wait for the write.
    const abort = () => fail(new CancelledError(signal.reason));
    signal.addEventListener('abort', abort, { once: true });
    process.stdout.write(bytes, (error) => {
      signal.removeEventListener('abort', abort);
      if (error) fail(outputFailure(pipeError(error), STDOUT));
      else done();
    });
  });
}

/** A stream that failed before reports only that it is destroyed. That counts as EPIPE here. */
function pipeError(error: Error): unknown {
  return isOsError(error)
    ? error
    : Object.assign(new Error(error.message, { cause: error }), { code: 'EPIPE' });
}
