import { fstatSync } from 'node:fs';
import { CancelledError, KilnError } from '../base/errors.ts';
import { isOsError } from '../base/oserror.ts';
import type { Session } from '../builder/session.ts';
import { type About, descriptorSink, outputFailure } from '../exporter/destination.ts';

/** Standard output, for bytes that are the result of a command. */
export function standardOutput(): NonNullable<Session['output']> {
  let write: NonNullable<Session['output']> | undefined;
  return (bytes, signal) => (write ??= open(signal))(bytes, signal);
}

const STDOUT: About = {
  what: 'standard output cannot be written',
  hint: {
    ENOSPC: 'make room where it is redirected to, or redirect it elsewhere',
    EDQUOT: 'make room within the quota where it is redirected to, or redirect it elsewhere',
    EPIPE: 'the program that reads it has to read to the end: look at how that one ended',
  },
};

let listening = false;

function open(signal: AbortSignal): NonNullable<Session['output']> {
  if (process.stdout.isTTY) {
    throw new KilnError('KILN_OUTPUT_TERMINAL', 'an archive is not written to a terminal', {
      place: { kind: 'flag', flag: '--output' },
      hint: 'redirect standard output, or name a file with dest=',
    });
  }
  const stat = fstatSync(1);
  // Node's stream for a file takes a write that was cut short (a disk that is almost full) for a
  // whole one.
  if (!stat.isFIFO() && !stat.isSocket()) {
    const sink = descriptorSink(1, STDOUT, signal);
    return (bytes) => sink.write(bytes);
  }
  // Each failure comes to its write; as an event it would end the process.
  if (!listening) process.stdout.on('error', () => undefined);
  listening = true;
  return writePiped;
}

async function writePiped(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw new CancelledError(signal.reason);
  await new Promise<void>((done, fail) => {
    // A reader that stands still must not hold us.
    const abort = () => fail(new CancelledError(signal.reason));
    signal.addEventListener('abort', abort, { once: true });
    process.stdout.write(bytes, (error) => {
      signal.removeEventListener('abort', abort);
      if (error) fail(outputFailure(pipeError(error), STDOUT));
      else done();
    });
  });
}

/** A stream that has failed before says only that it is destroyed. */
function pipeError(error: Error): unknown {
  return isOsError(error)
    ? error
    : Object.assign(new Error(error.message, { cause: error }), { code: 'EPIPE' });
}
