import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { Control } from '../../api/proto/control.gen.ts';
import { CancelledError, KilnError } from '../../base/errors.ts';
import { type OpenServer, openServer } from '../../remote/open-server.ts';
import { ADDRESS_FLAG, type ConnectFlags, serverAddress, tlsFiles } from './server-address.ts';

/** How long a server may take when `--timeout` does not say it, in seconds. */
const PATIENCE = 20;
/** The time between two attempts of `--wait`, in milliseconds. */
const PAUSE_MS = 250;
/** An attempt without an answer within this time is given up for the next, in milliseconds. */
const ATTEMPT_MS = 3_000;

/**
 * Opens the server that the flags name. With `--wait` it need not be there yet: it is tried until
 * it answers, or `--timeout` has passed. Throws KILN_USAGE, KILN_ADDRESS_INVALID and
 * KILN_SERVER_UNREACHABLE, and a CancelledError when `signal` aborts.
 */
export async function openNamed(flags: ConnectFlags, signal: AbortSignal): Promise<OpenServer> {
  const text = serverAddress(flags);
  const milliseconds = 1000 * secondsOf(flags.timeout);
  const open = () => openServer(text, ADDRESS_FLAG, { tls: tlsFiles(flags), within: milliseconds });
  if (!flags.wait) return await open();
  const patience =
    milliseconds === 0 ? signal : AbortSignal.any([signal, AbortSignal.timeout(milliseconds)]);
  for (;;) {
    const failure = await answering(open, patience);
    if (!(failure instanceof Error)) return failure;
    if (signal.aborted) throw new CancelledError(failure);
    if (patience.aborted) throw unanswered(text, failure);
    await sleep(PAUSE_MS, undefined, { signal: patience }).catch(() => {});
  }
}

/** The server when it answers, or else why it does not yet. Throws what waiting cannot mend. */
async function answering(
  open: () => Promise<OpenServer>,
  patience: AbortSignal,
): Promise<OpenServer | Error> {
  let server: OpenServer | undefined;
  const late = new AbortController();
  // A server that hangs up may leave nothing else that this process waits for.
  const timer = setTimeout(() => late.abort(), ATTEMPT_MS);
  const signal = AbortSignal.any([patience, late.signal]);
  try {
    server = await open();
    await Promise.race([server.client.unary(Control.method.info, {}, signal), aborted(signal)]);
    return server;
  } catch (error) {
    const isAway =
      signal.aborted ||
      (error instanceof KilnError && error.code === 'KILN_SERVER_UNREACHABLE') ||
      (error instanceof ConnectError && error.code === Code.Unavailable);
    // A server that refuses to tell its version is there.
    if (server && !isAway && error instanceof ConnectError) return server;
    server?.[Symbol.dispose]();
    if (isAway && error instanceof Error) return error;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Rejects when `signal` aborts. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(new Error('no answer'));
    if (signal.aborted) fail();
    signal.addEventListener('abort', fail, { once: true });
  });
}

function unanswered(text: string, failure: Error): Error {
  if (failure instanceof KilnError) return failure;
  return new KilnError('KILN_SERVER_UNREACHABLE', `${text} does not answer`, {
    place: { kind: 'flag', flag: ADDRESS_FLAG },
    cause: failure,
  });
}

function secondsOf(timeout: string | undefined): number {
  if (timeout === undefined) return PATIENCE;
  if (/^\d{1,6}$/.test(timeout)) return Number(timeout);
  throw new KilnError('KILN_USAGE', `${JSON.stringify(timeout)} is not a number of seconds`, {
    place: { kind: 'flag', flag: '--timeout' },
    exitCode: 2,
  });
}
