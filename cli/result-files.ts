import { accessSync, constants, lstatSync, rmSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { attempt, osError, writing } from '../base/oserror.ts';
import { writeFile } from '../exporter/destination.ts';

/**
 * The paths of `--iidfile` and `--metadata-file`. The files are written after the build. Before it,
 * Kiln checks that they can be written.
 */
interface ResultFiles {
  readonly iidFile: string | undefined;
  readonly metadataFile: string | undefined;
}

/**
 * Throws KILN_FILE_UNWRITABLE for a file that cannot be written after the build. Removes an
 * existing image ID file at once, as buildx does, so that a script does not read the ID of an
 * earlier build after a build that failed.
 */
export function checkResultFiles({ iidFile, metadataFile }: ResultFiles): void {
  if (metadataFile !== undefined) attempt(metadataAt(metadataFile), () => checkFile(metadataFile));
  if (iidFile === undefined) return;
  attempt(iidAt(iidFile), () => {
    checkFile(iidFile);
    if (lstatSync(iidFile, { throwIfNoEntry: false })?.isFile()) rmSync(iidFile, { force: true });
  });
}

/** Writes the image ID file, without a newline at its end. Throws KILN_FILE_UNWRITABLE. */
export function writeIidFile(path: string, id: string): Promise<void> {
  return writeFile(resolve(path), id, iidAt(path));
}

/** Writes the metadata file. `text` is its JSON. Throws KILN_FILE_UNWRITABLE. */
export function writeMetadataFile(path: string, text: string): Promise<void> {
  return writeFile(resolve(path), text, metadataAt(path));
}

const iidAt = (path: string) => writing('the image ID file', path);
const metadataAt = (path: string) => writing('the metadata file', path);

/** Throws the system error that writing the file would fail with, as far as that is known. */
function checkFile(path: string): void {
  const existing = statSync(path, { throwIfNoEntry: false });
  if (existing?.isDirectory())
    throw Object.assign(new Error(`EISDIR: ${path}`), { code: 'EISDIR' });
  if (existing) return accessSync(path, constants.W_OK);
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
