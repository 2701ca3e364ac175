import { KilnError } from '../base/errors.ts';
import type { BuildRequest } from '../builder/request.ts';

/**
 * Refuses what a server elsewhere cannot be asked for, because BuildKit's API has no words for it
 * and the result would be another one. Throws KILN_REQUEST_UNSUPPORTED.
 */
export function refuseUnsendable(request: BuildRequest): void {
  const { squash, devices, sourcePolicies, volumes, ignoreFile } = request;
  if (sourcePolicies.length > 1)
    throw new KilnError(
      'KILN_REQUEST_UNSUPPORTED',
      'only one source policy can be sent to a builder elsewhere',
    );
  if (squash) throw unsendable('--squash');
  if (devices.length > 0) throw unsendable('--device');
  if (volumes.length > 0) throw unsendable('--volume');
  if (ignoreFile !== undefined) throw unsendable('--ignorefile');
}

function unsendable(flag: string): KilnError {
  return new KilnError(
    'KILN_REQUEST_UNSUPPORTED',
    `${flag} cannot be sent to a builder elsewhere`,
    { place: { kind: 'flag', flag }, hint: `build here, or leave ${flag} out`, exitCode: 2 },
  );
}
