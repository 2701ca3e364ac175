import { accessSync, constants, lstatSync, rmSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { attempt, osError, writing } from '../base/oserror.ts';
import { writeFile } from '../exporter/destination.ts';

/**
 * What `--iidfile` and `--metadata-file` name: they are written after the build, and tried before
 * it.
 */
interface ResultFiles {
  readonly iidFile: string | undefined;
  readonly metadataFile: string | undefined;
}

/**
 * Throws KILN_FILE_UNWRITABLE for a file that could not be written after the build. The image ID of
 * an earlier build goes at once, as with buildx: a script must not read it after a build that
 * failed.
 */
export function tryResultFiles({ iidFile, metadataFile }: ResultFiles): void {
  if (metadataFile !== undefined) attempt(metadataAt(metadataFile), () => tryFile(metadataFile));
  if (iidFile === undefined) return;
  attempt(iidAt(iidFile), () => {
    tryFile(iidFile);
    if (lstatSync(iidFile, { throwIfNoEntry: false })?.isFile()) rmSync(iidFile, { force: true });
  });
}

export function writeIidFile(path: string, id: string): Promise<void> {
  return writeFile(resolve(path), id, iidAt(path));
}

export function writeMetadataFile(path: string, text: string): Promise<void> {
  return writeFile(resolve(path), text, metadataAt(path));
}

const iidAt = (path: string) => writing('the image ID file', path);
const metadataAt = (path: string) => writing('the metadata file', path);

/** Throws the error of the system that writing would meet, as far as it can be known. */
function tryFile(path: string): void {
  const there = statSync(path, { throwIfNoEntry: false });
  if (there?.isDirectory()) throw Object.assign(new Error(`EISDIR: ${path}`), { code: 'EISDIR' });
  if (there) return accessSync(path, constants.W_OK);
  const directory = dirname(path);
  try {
    if (!statSync(directory).isDirectory())
      throw Object.assign(new Error(`ENOTDIR: ${directory}`), { code: 'ENOTDIR' });
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    throw osError(error, {
      ...writing('the directory', directory),
      hint: `make it first: mkdir -p ${directory}`,
    });
  }
  accessSync(directory, constants.W_OK | constants.X_OK);
}
