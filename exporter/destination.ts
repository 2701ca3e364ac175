import {
  accessSync,
  closeSync,
  constants,
  fdatasync,
  lstatSync,
  openSync,
  readlinkSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CancelledError, errnoOf, KilnError } from '../base/errors.ts';
import { MAX_LINKS } from '../base/links.ts';
import { type Attempt, osError } from '../base/oserror.ts';
import type { Destination } from './output-spec.ts';

/** The number of bytes written to a file before other work runs and the signal is checked. */
const YIELD_BYTES = 1 << 20;
const PAUSE_MS = 10;

/**
 * Takes bytes in order. When its result is awaited, other work can run, and the writer does not run
 * ahead of a slow reader.
 */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

/**
 * Runs `body` with a sink for `destination`. A file appears under its name when it is complete, and
 * not at all when `body` fails. A device or a fifo is written directly. Errors of writing are
 * converted by the sink, so an error of `body`'s own source is never reported as an error of the
 * destination.
 */
export async function writeTo(
  destination: Destination,
  signal: AbortSignal,
  body: Body,
): Promise<void> {
  if (destination.kind === 'stream') return body(destination);
  await writeAt(destination.path, signal, body, outputFile(destination.path));
}

type Body = (sink: ByteSink) => Promise<void>;

async function writeAt(path: string, signal: AbortSignal, body: Body, about: About): Promise<void> {
  const stat = statOf(path, about);
  if (stat?.isDirectory()) throw isDirectory(path, '--output');
  if (stat?.isFIFO())
    return await writeOpened(await openFifo(path, about, signal), signal, body, about);
  if (stat && !stat.isFile())
    return await writeFileAt(path, constants.O_WRONLY, signal, body, about);
  const file = sinking(about, () => followed(path));
  await writeNewFile(file, signal, body, about);
}

/**
 * Writes a short file at `path`, completely or not at all. `about` describes it in messages. A fifo
 * waits for its reader until `signal` aborts.
 */
export async function writeFile(
  path: string,
  content: string | Uint8Array,
  about: About,
  signal: AbortSignal,
): Promise<void> {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  // The file may be written but its directory may not: another user created the file for us.
  if (statOf(path, about)?.isFile() && !mayWrite(dirname(followed(path))))
    return sinking(about, () => writeFileSync(path, bytes));
  await writeAt(path, signal, (sink) => sink.write(bytes), about);
}

/** A file or directory that is to be written: its absolute path, and the flag that named it. */
export interface WantedFile {
  readonly path: string;
  readonly flag: string;
}

/**
 * Throws the error that would prevent a file from being written at `path`, as far as it can be
 * known in advance. Leaves nothing there. The directory has to exist: a misspelt one would be
 * created where nobody looks for it.
 */
export function tryFile({ path, flag }: WantedFile): void {
  const place = { kind: 'flag', flag } as const;
  const about = { ...outputFile(path), place };
  const stat = statOf(path, about);
  if (stat?.isDirectory()) throw isDirectory(path, flag);
  const file = sinking(about, () => followed(path));
  try {
    if (stat && !stat.isFile()) return accessSync(path, constants.W_OK);
    const temporary = temporaryName(file);
    rmSync(temporary, { force: true });
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
    const fd = openSync(temporary, flags, 0o644);
    try {
      closeSync(fd);
    } finally {
      discard(temporary);
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT')
      throw new KilnError(
        'KILN_OUTPUT_INVALID',
        `the directory ${dirname(file)} for the output ${path} does not exist`,
        {
          place,
          hint: `correct the path, or make the directory: mkdir -p ${dirname(file)}`,
          exitCode: 2,
        },
      );
    throw outputFailure(error, about);
  }
}

/**
 * Like `tryFile`, for a directory. The directory and its parents are created when there is
 * something to write.
 */
export function tryDirectory({ path: given, flag }: WantedFile): void {
  const about = { ...outputFile(given), place: { kind: 'flag', flag } as const };
  for (let path = given; ; path = dirname(path)) {
    const stat = statOf(path, about);
    if (!stat && path !== dirname(path)) continue;
    if (stat && !stat.isDirectory())
      throw new KilnError(
        'KILN_OUTPUT_INVALID',
        `the output ${given} has to be a directory, and ${path} is not one`,
        {
          place: about.place,
          hint: 'name another directory',
          exitCode: 2,
        },
      );
    try {
      accessSync(path, constants.W_OK | constants.X_OK);
    } catch (error) {
      throw outputFailure(error, about);
    }
    return;
  }
}

/** True for a device such as /dev/null, which any number of outputs may be written to. */
export function isDevice(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isCharacterDevice() ?? false;
  } catch {
    // What is wrong with the path is reported when it is tried.
    return false;
  }
}

/** The path of the file that `path` names through links. The file need not exist yet. */
function followed(path: string, depth = 0): string {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat?.isSymbolicLink() || depth > MAX_LINKS) return path;
  return followed(resolve(dirname(path), readlinkSync(path)), depth + 1);
}

function mayWrite(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Undefined when nothing exists there yet. */
function statOf(path: string, about: About): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw outputFailure(error, about);
  }
}

function isDirectory(path: string, flag: string): KilnError {
  return new KilnError('KILN_OUTPUT_INVALID', `the destination ${path} is a directory`, {
    place: { kind: 'flag', flag },
    hint: 'name a file in it; a directory is written with type=local or type=oci,tar=false',
    exitCode: 2,
  });
}

/** Incomplete files. They are removed when the process ends, in any way. */
const unfinished = new Set<string>();
let watched = false;

function removeUnfinished(): void {
  for (const left of unfinished) discard(left);
}

/**
 * The file no longer exists under this name when it was renamed. An error here also prevented the
 * file from being written, and that error is reported.
 */
function discard(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {}
}

function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path).slice(0, 200)}.${process.pid}.part`);
}

async function writeNewFile(
  path: string,
  signal: AbortSignal,
  body: Body,
  about: About,
): Promise<void> {
  await appear(path, temporaryName(path), about, (temporary) =>
    writeFileAt(
      temporary,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
      signal,
      body,
      about,
    ),
  );
}

/**
 * Calls `make` to write a new file, and renames it to `path` when it is complete. An incomplete
 * file is removed, however the process ends. Unless the caller syncs the file `later`, its bytes
 * are on the disk before it has its name, so that a crash leaves no incomplete file there.
 */
export async function appear(
  path: string,
  temporary: string,
  about: About,
  make: (temporary: string) => Promise<void>,
  sync: 'now' | 'later' = 'now',
): Promise<void> {
  if (!watched) process.on('exit', removeUnfinished);
  watched = true;
  unfinished.add(temporary);
  try {
    // The existing file is never opened by its name: in a directory that others can write, it could
    // be a link of another user.
    sinking(about, () => rmSync(temporary, { force: true }));
    await make(temporary);
    if (sync === 'now') await syncFile(temporary, about);
    sinking(about, () => renameSync(temporary, path));
  } finally {
    discard(temporary);
    unfinished.delete(temporary);
  }
}

/** Waits until the bytes of a file are on the disk. The disk may report an error only then. */
export async function syncFile(path: string, about: About): Promise<void> {
  const fd = sinking(about, () => openSync(path, constants.O_RDONLY));
  try {
    await new Promise<void>((done, fail) =>
      fdatasync(fd, (error) => (error ? fail(outputFailure(error, about)) : done())),
    );
  } finally {
    sinking(about, () => closeSync(fd));
  }
}

async function writeFileAt(
  path: string,
  flags: number,
  signal: AbortSignal,
  body: Body,
  about: About,
): Promise<void> {
  const fd = sinking(about, () => openSync(path, flags, 0o644));
  await writeOpened(fd, signal, body, about);
}

async function writeOpened(
  fd: number,
  signal: AbortSignal,
  body: Body,
  about: About,
): Promise<void> {
  let open = true;
  try {
    await body(descriptorSink(fd, about, signal));
    open = false;
    // A disk quota or a network file system may report an error only here.
    sinking(about, () => closeSync(fd));
  } finally {
    if (open) closeSync(fd);
  }
}

/** A sink that writes to an open descriptor. */
export function descriptorSink(fd: number, about: About, signal: AbortSignal): ByteSink {
  let sinceYield = 0;
  return {
    async write(bytes) {
      for (let at = 0; at < bytes.byteLength; ) {
        const written = writeSome(fd, bytes, at, about);
        // The fifo has a slow reader. There is no event to watch, and the user may cancel
        // meanwhile.
        if (written === undefined) await pause(signal);
        else at += written;
      }
      if ((sinceYield += bytes.byteLength) < YIELD_BYTES) return;
      sinceYield = 0;
      await new Promise(setImmediate);
      if (signal.aborted) throw new CancelledError(signal.reason);
    },
  };
}

/** Undefined when the descriptor accepts no bytes now. */
function writeSome(fd: number, bytes: Uint8Array, at: number, about: About): number | undefined {
  try {
    const written = writeSync(fd, bytes, at);
    // A regular file never accepts zero bytes; repeating the call would never end.
    if (written === 0) throw Object.assign(new Error('nothing was written'), { code: 'EIO' });
    return written;
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return undefined;
    throw outputFailure(error, about);
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw new CancelledError(signal.reason);
  await new Promise((done) => setTimeout(done, PAUSE_MS));
}

/** Waits for the reader of a fifo as the kernel would, but so that the wait can be cancelled. */
async function openFifo(path: string, about: About, signal: AbortSignal): Promise<number> {
  for (;;) {
    try {
      return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      if (errnoOf(error) !== 'ENXIO') throw outputFailure(error, about);
    }
    await pause(signal);
  }
}

/** Describes the file that is being written, for error messages. */
export type About = Omit<Attempt, 'code'> & Partial<Pick<Attempt, 'code'>>;

export function outputFile(path: string): About {
  return { what: `the output ${path} cannot be written`, path };
}

function sinking<T>(about: About, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw outputFailure(error, about);
  }
}

/** A full disk or quota has its own code here, because the disk need not be that of the store. */
export function outputFailure(error: unknown, about: About): unknown {
  const full = errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT';
  return osError(error, {
    code: full ? 'KILN_DISK_FULL' : 'KILN_OUTPUT_UNWRITABLE',
    doing: 'write',
    ...about,
  });
}

/** The error to report for a failure while writing below the directory `path`. */
export function outputError(error: unknown, path: string): unknown {
  return outputFailure(error, outputFile(path));
}
