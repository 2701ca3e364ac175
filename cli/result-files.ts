import { accessSync, constants, lstatSync, rmSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { errnoOf, KilnError } from '../base/errors.ts';
import { attempt, osError, writing } from '../base/oserror.ts';
import type { BuildRequest } from '../builder/request.ts';
import { isDevice, writeFile } from '../exporter/destination.ts';
import type { OutputSpec } from '../exporter/output-spec.ts';

/**
 * The paths of `--iidfile` and `--metadata-file`. The files are written after the build. Before it,
 * Kiln checks that they can be written.
 */
interface ResultFiles {
  readonly iidFile: string | undefined;
  readonly metadataFile: string | undefined;
  readonly request: Pick<BuildRequest, 'outputs'>;
}

/**
 * Throws KILN_FILE_UNWRITABLE for a file that cannot be written after the build, and KILN_USAGE for
 * one that would replace another result of the build. Removes an existing image ID file at once, as
 * buildx does, so that a script does not read the ID of an earlier build after a build that failed.
 */
export function checkResultFiles({ iidFile, metadataFile, request }: ResultFiles): void {
  requireOwnPaths(iidFile, metadataFile, request.outputs);
  if (metadataFile !== undefined) attempt(metadataAt(metadataFile), () => checkFile(metadataFile));
  if (iidFile === undefined) return;
  attempt(iidAt(iidFile), () => {
    checkFile(iidFile);
    if (lstatSync(iidFile, { throwIfNoEntry: false })?.isFile()) rmSync(iidFile, { force: true });
  });
}

function requireOwnPaths(
  iidFile: string | undefined,
  metadataFile: string | undefined,
  outputs: readonly OutputSpec[],
): void {
  const taken = new Map<string, string>();
  for (const output of outputs)
    if ('destination' in output && output.destination?.kind === 'file')
      taken.set(output.destination.path, '--output');
  for (const [flag, file] of [
    ['--iidfile', iidFile],
    ['--metadata-file', metadataFile],
  ] as const) {
    if (file === undefined || isDevice(file)) continue;
    const other = taken.get(resolve(file));
    if (other !== undefined)
      throw new KilnError('KILN_USAGE', `${flag} and ${other} are both to be written to ${file}`, {
        place: { kind: 'flag', flag },
        hint: `give ${flag} a path of its own`,
        exitCode: 2,
      });
    taken.set(resolve(file), flag);
  }
}

/** Writes the image ID file, without a newline at its end. Throws KILN_FILE_UNWRITABLE. */
export function writeIidFile(path: string, id: string, signal: AbortSignal): Promise<void> {
  return writeFile(resolve(path), id, iidAt(path), signal);
}

/** Writes the metadata file. `text` is its JSON. Throws KILN_FILE_UNWRITABLE. */
export function writeMetadataFile(path: string, text: string, signal: AbortSignal): Promise<void> {
  return writeFile(resolve(path), text, metadataAt(path), signal);
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
