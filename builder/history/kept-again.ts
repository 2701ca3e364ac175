import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { attachedDocuments, attachedPath, removeAttached } from './attached.ts';
import type { KeptResult } from './kept-result.ts';

/**
 * # What is kept of a result, for builds that find it made
 *
 * To make the provenance of a build takes longer than the build when everything is cached. A cached
 * build keeps the documents of the build that made its result. They are files of several names: one
 * in the directory `kept/KEY` beside the logs, and one with each log. KEY stands for what was asked
 * for, the sources and the result (kept-key.ts). The directory goes with the last log that has the
 * documents.
 */
const DIRECTORY = 'kept';
const RESULT = 'result.json';
/** Ends the name that `result.json` has with a log. */
const SUFFIX = '.kept';
const PART = '.part';

/** A directory of this age that is not complete belongs to a process that was killed. */
const LEFT_MS = 60_000;

/**
 * Keeps the documents of an earlier build with the log `id`, and returns what the last line says of
 * them. Undefined when there is no such build.
 */
export function keepAgain(directory: string, id: string, key: string): KeptResult | undefined {
  const kept = join(directory, DIRECTORY, key);
  try {
    const result = JSON.parse(readFileSync(join(kept, RESULT), 'utf8')) as KeptResult;
    mkdirSync(attachedPath(directory, id, ''), { recursive: true, mode: 0o700 });
    for (const name of readdirSync(kept))
      linkSync(
        join(kept, name),
        attachedPath(directory, id, name === RESULT ? key + SUFFIX : name),
      );
    return result;
  } catch {
    // It was never made, or another process has removed it.
    removeAttached(directory, id);
    return undefined;
  }
}

/** Has the documents of the log `id` found by the next build with this key. */
export function keepForNext(directory: string, id: string, key: string, result: KeptResult): void {
  const all = join(directory, DIRECTORY);
  const kept = join(all, key);
  const part = `${kept}.${process.pid}${PART}`;
  try {
    removeParts(all);
    mkdirSync(part, { recursive: true, mode: 0o700 });
    writeFileSync(join(part, RESULT), JSON.stringify(result), { mode: 0o600 });
    for (const { name } of attachedDocuments(directory, id))
      linkSync(attachedPath(directory, id, name), join(part, name));
    rmSync(kept, { recursive: true, force: true });
    renameSync(part, kept);
    linkSync(join(kept, RESULT), attachedPath(directory, id, key + SUFFIX));
  } catch {
    // The file system has no links, or another process keeps the same. The next build makes them.
    rmSync(part, { recursive: true, force: true });
  }
}

function removeParts(all: string): void {
  mkdirSync(all, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(all)) {
    if (!name.endsWith(PART)) continue;
    const { mtimeMs = 0 } = statSync(join(all, name), { throwIfNoEntry: false }) ?? {};
    if (mtimeMs < Date.now() - LEFT_MS) rmSync(join(all, name), { recursive: true, force: true });
  }
}

/** To be called before the documents of a log are removed: nobody else may need `kept/KEY`. */
export function releaseKept(directory: string, id: string): void {
  try {
    for (const name of readdirSync(attachedPath(directory, id, ''))) {
      if (!name.endsWith(SUFFIX)) continue;
      const others = statSync(attachedPath(directory, id, name)).nlink - 1;
      const key = name.slice(0, -SUFFIX.length);
      if (others <= 1) rmSync(join(directory, DIRECTORY, key), { recursive: true, force: true });
    }
  } catch {
    // Nothing was kept with the log, or another process is removing it.
  }
}
