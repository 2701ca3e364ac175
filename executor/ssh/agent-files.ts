import {
  closeSync,
  constants as FS,
  openSync,
  readFileSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs';
import { basename } from 'node:path';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { osError } from '../../base/oserror.ts';
import { pause } from '../../base/pause.ts';
import { brokenLink } from '../../snapshotter/sys/brokenlink.ts';
import type { SshAgentSource } from './agent.ts';
import { keyAgent } from './key-agent.ts';
import { readSigningKey, type SigningKey } from './signing-key.ts';

/** The most bytes that a key file may have. Real ones are far smaller. */
const KEY_LIMIT = 100 * 1024;

/** True for the socket of an agent. Throws KILN_SSH_AGENT when nothing is at `path`. */
export function isAgentSocket(path: string): boolean {
  return statOf(path).isSocket();
}

/**
 * Returns an agent with the private keys of these files. They are read now. Throws KILN_SSH_AGENT
 * or KILN_SSH_KEY.
 */
export function agentOfKeys(paths: readonly string[]): SshAgentSource {
  return keyAgent(paths.map(keyAt));
}

function keyAt(path: string): SigningKey {
  const stat = statOf(path);
  // A pipe, such as `<(command)`, is accepted like a file.
  if (!(stat.isFile() || stat.isFIFO()) || stat.size > KEY_LIMIT)
    throw noAgent(`${path} is neither a socket nor a key file`);
  try {
    return readSigningKey(stat.isFIFO() ? readPipe(path) : readFileSync(path), basename(path));
  } catch (error) {
    if (!(error instanceof KilnError)) throw unreadable(path, error);
    const { code, message, hint } = error;
    throw new KilnError(code, `${message}: ${path}`, { hint });
  }
}

/**
 * Reads a pipe to its end. A pipe that nobody writes to is refused after three seconds: a plain
 * read would wait for a writer, and the process could not be interrupted meanwhile.
 */
function readPipe(path: string): Buffer {
  const fd = openSync(path, FS.O_RDONLY | FS.O_NONBLOCK);
  const bytes = Buffer.alloc(KEY_LIMIT + 1);
  let [length, rounds] = [0, 0];
  try {
    while (length <= KEY_LIMIT) {
      const read = tryRead(fd, bytes.subarray(length));
      if (read === 0 && length > 0) return bytes.subarray(0, length);
      length += read ?? 0;
      if (read) continue;
      rounds++;
      const limit = read === 0 ? WRITER_ROUNDS : KEY_ROUNDS;
      if (rounds >= limit) throw noAgent(`${path} is a pipe that nobody writes a key to`);
      pause(ROUND_MS);
    }
    throw noAgent(`${path} is neither a socket nor a key file`);
  } finally {
    closeSync(fd);
  }
}

/** The pause between two reads of a pipe. */
const ROUND_MS = 10;
/** How often a pipe without a writer is read: for three seconds. */
const WRITER_ROUNDS = 300;
/** How often a pipe is read whose writer is silent: for a minute, as it may ask for a password. */
const KEY_ROUNDS = 6000;

/** The number of bytes read, 0 without a writer, undefined while the writer says nothing. */
function tryRead(fd: number, into: Uint8Array): number | undefined {
  try {
    return readSync(fd, into);
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return undefined;
    throw error;
  }
}

function statOf(path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw unreadable(path, error);
    const target = brokenLink(path);
    const missing =
      target === undefined
        ? 'there is no such socket or key file'
        : `it is a link to ${JSON.stringify(target)}, which does not exist`;
    throw noAgent(`${path}: ${missing}`);
  }
}

function unreadable(path: string, error: unknown): unknown {
  return osError(error, { code: 'KILN_SSH_AGENT', what: `${path} cannot be read`, path });
}

function noAgent(what: string): KilnError {
  return new KilnError('KILN_SSH_AGENT', what, {
    hint: 'give the socket of an agent, or files with private keys',
  });
}
