import {
  accessSync,
  closeSync,
  constants,
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
import { type Attempt, osError } from '../base/oserror.ts';
import type { Destination } from './output-spec.ts';

/** How much is written to a file before other work, and the signal, get their turn. */
const YIELD_BYTES = 1 << 20;
const PAUSE_MS = 10;
/** As many as the kernel follows. */
const MAX_LINKS = 40;

/** Takes bytes in order. Awaited, it lets other work go on and does not run ahead of a slow reader. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

/**
 * Runs `body` with a sink over `destination`. A file appears under its name when it is whole, and not at all when `body` fails; a
 * device or a fifo is written as it is. What cannot be written is told by the sink, so that an error of `body`'s own source is never told as
 * one of the destination.
 */
export async function writeTo(destination: Destination, signal: AbortSignal, body: Body): Promise<void> {
  if (destination.kind === 'stdout') throw new Error('the output of the caller is for the caller to lend');
  if (destination.kind === 'stream') return body(destination);
  await writeAt(destination.path, signal, body, outputFile(destination.path));
}

type Body = (sink: ByteSink) => Promise<void>;

async function writeAt(path: string, signal: AbortSignal, body: Body, about: About): Promise<void> {
  const stat = statOf(path, about);
  if (stat?.isDirectory()) throw isDirectory(path, '--output');
  if (stat?.isFIFO()) return await writeOpened(await openFifo(path, about, signal), signal, body, about);
  if (stat && !stat.isFile()) return await writeFileAt(path, constants.O_WRONLY, signal, body, about);
  const file = sinking(about, () => followed(path));
  await writeNewFile(file, signal, body, about);
}

/** Writes a short file at `path`, whole or not at all; `about` says what it is to the user. */
export async function writeFile(path: string, content: string | Uint8Array, about: About): Promise<void> {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  // A file that may be written, in a directory that may not: one made for us by somebody else.
  if (statOf(path, about)?.isFile() && !mayWrite(dirname(followed(path))))
    return sinking(about, () => writeFileSync(path, bytes));
  await writeAt(path, new AbortController().signal, (sink) => sink.write(bytes), about);
}

/** A file or directory that is to be written: its absolute path, and the flag that named it. */
export interface WantedFile {
  readonly path: string;
  readonly flag: string;
}

/**
 * Throws what would keep a file from being written at `path`, as far as that can be known before there is anything to write; leaves nothing
 * there. The directory has to be there: a misspelt one would be made where nobody looks.
 */
export function tryFile({ path, flag }: WantedFile): void {
  const place = { kind: 'flag', flag } as const;
  const about = { ...outputFile(path), place };
  const stat = statOf(path, about);
  if (stat?.isDirectory()) throw isDirectory(path, flag);
  try {
    if (stat && !stat.isFile()) return accessSync(path, constants.W_OK);
    const temporary = temporaryName(followed(path));
    rmSync(temporary, { force: true });
    closeSync(openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644));
    rmSync(temporary);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT')
      throw new KilnError('KILN_OUTPUT_INVALID', `the directory ${dirname(path)} for the output ${path} is not there`, {
        place,
        hint: `correct the path, or make the directory: mkdir -p ${dirname(path)}`,
        exitCode: 2,
      });
    throw outputFailure(error, about);
  }
}

/** As `tryFile`, for a directory, which is made with all that is above it when there is something to write. */
export function tryDirectory({ path: given, flag }: WantedFile): void {
  const about = { ...outputFile(given), place: { kind: 'flag', flag } as const };
  for (let path = given; ; path = dirname(path)) {
    const stat = statOf(path, about);
    if (!stat && path !== dirname(path)) continue;
    if (stat && !stat.isDirectory())
      throw new KilnError('KILN_OUTPUT_INVALID', `the output ${given} has to be a directory, and ${path} is not one`, {
        place: about.place,
        hint: 'name another directory',
        exitCode: 2,
      });
    try {
      accessSync(path, constants.W_OK | constants.X_OK);
    } catch (error) {
      throw outputFailure(error, about);
    }
    return;
  }
}

/** Where a file is that `path` names by links, or will be. */
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

/** Undefined when nothing is there yet. */
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

/** Files that are not whole yet: they go with the process, however it ends. */
const unfinished = new Set<string>();
let watched = false;

function removeUnfinished(): void {
  for (const left of unfinished) discard(left);
}

/** Gone already when it was renamed. What keeps it from going has kept it from being written, which is what is told. */
function discard(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {}
}

function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path).slice(0, 200)}.${process.pid}.part`);
}

async function writeNewFile(path: string, signal: AbortSignal, body: Body, about: About): Promise<void> {
  await appear(path, temporaryName(path), about, (temporary) =>
    writeFileAt(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, signal, body, about),
  );
}

/** Has `make` write a new file, and puts it at `path` when it is whole. Of one that is not nothing stays, however the process ends. */
export async function appear(
  path: string,
  temporary: string,
  about: About,
  make: (temporary: string) => Promise<void>,
): Promise<void> {
  if (!watched) process.on('exit', removeUnfinished);
  watched = true;
  unfinished.add(temporary);
  try {
    // Never opened by its name as it is: in a directory that others can write, it must not be somebody's link.
    sinking(about, () => rmSync(temporary, { force: true }));
    await make(temporary);
    sinking(about, () => renameSync(temporary, path));
  } finally {
    discard(temporary);
    unfinished.delete(temporary);
  }
}

async function writeFileAt(path: string, flags: number, signal: AbortSignal, body: Body, about: About): Promise<void> {
  const fd = sinking(about, () => openSync(path, flags, 0o644));
  await writeOpened(fd, signal, body, about);
}

async function writeOpened(fd: number, signal: AbortSignal, body: Body, about: About): Promise<void> {
  let open = true;
  try {
    await body(descriptorSink(fd, about, signal));
    open = false;
    // A disk quota or a network file system may only tell now.
    sinking(about, () => closeSync(fd));
  } finally {
    if (open) closeSync(fd);
  }
}

/** Bytes into an open descriptor. */
export function descriptorSink(fd: number, about: About, signal: AbortSignal): ByteSink {
  let sinceYield = 0;
  return {
    async write(bytes) {
      for (let at = 0; at < bytes.byteLength; ) {
        const written = writeSome(fd, bytes, at, about);
        // A fifo whose reader is slow: there is nothing to watch, and the user may end it meanwhile.
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

/** Undefined when the descriptor takes nothing now. */
function writeSome(fd: number, bytes: Uint8Array, at: number, about: About): number | undefined {
  try {
    const written = writeSync(fd, bytes, at);
    // No file takes nothing; asked for ever, it would say so for ever.
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

/** A fifo that nobody reads yet is waited for as the kernel would, but so that it can be ended. */
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

/** What is being written, for whoever reads that it failed. */
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

/** A full disk or quota has a code of its own, and it is not the store's. */
export function outputFailure(error: unknown, about: About): unknown {
  const full = errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT';
  return osError(error, { code: full ? 'KILN_DISK_FULL' : 'KILN_OUTPUT_UNWRITABLE', doing: 'write', ...about });
}

/** What the user should see for a failure while writing below the directory `path`. */
export function outputError(error: unknown, path: string): unknown {
  return outputFailure(error, outputFile(path));
}
