import { lstatSync } from 'node:fs';
import { KilnError } from '../../base/errors.ts';
import { attempt } from '../../base/oserror.ts';
import type { BuildRequest } from '../request.ts';

/**
 * # A policy beside the Dockerfile
 *
 * buildx evaluates `<name of the Dockerfile>.rego` for each source of a build, without being asked.
 * Kiln cannot. A build that ignored the file would use sources that it forbids, so it is refused.
 */

/**
 * Refuses the policy file of the Dockerfile `name`, if `exists` finds it. Throws
 * KILN_POLICY_UNSUPPORTED.
 */
export function refusePolicyFile(
  { policyFile }: Pick<BuildRequest, 'policyFile'>,
  name: string,
  exists: (file: string) => boolean,
): void {
  if (policyFile === 'ignored') return;
  const file = `${name}.rego`;
  if (exists(file)) throw unsupportedPolicy(file);
}

/** True when there is anything at `path` of this host. Throws KILN_FILE_UNREADABLE. */
export function isFileThere(path: string): boolean {
  const what = `failed to read policy file ${path}`;
  return attempt(
    { code: 'KILN_FILE_UNREADABLE', what, path },
    () => lstatSync(path, { throwIfNoEntry: false }) !== undefined,
  );
}

/** The error about a policy that holds for a build. */
export function unsupportedPolicy(file: string): KilnError {
  return new KilnError(
    'KILN_POLICY_UNSUPPORTED',
    `the policy ${file} holds for this build, and Kiln cannot evaluate Rego`,
    {
      place: { kind: 'path', path: file },
      exitCode: 2,
      hint:
        'build without it by --policy disabled=true, or write what it says as a source policy ' +
        '(EXPERIMENTAL_BUILDKIT_SOURCE_POLICY)',
    },
  );
}
