import { didYouMean } from '../../base/suggest.ts';
import { flagError } from '../flag-error.ts';

/** The entitlements of `--allow`. One device may be allowed as `device=NAME`. */
export const ENTITLEMENTS = ['network.host', 'security.insecure', 'device'];

/** How a value of `--allow` begins that lets --volume read a directory of this host. */
export const FS_READ = 'fs.read=';

/** The entitlement of `--output type=local,mode=delete` for any directory. */
export const LOCAL_DELETE = 'buildx.local.delete';

/** Checks one value of `--allow` and returns it. Throws KILN_FLAG_VALUE. */
export function parseEntitlement(value: string): string {
  if (ENTITLEMENTS.includes(value.replace(/^device=.+$/, 'device'))) return value;
  throw flagError(
    '--allow',
    `${JSON.stringify(value)} is not an entitlement`,
    'write one of network.host, security.insecure, device, ' +
      `device=NAME, ${LOCAL_DELETE} and fs.read=DIRECTORY${didYouMean(value, ENTITLEMENTS)}`,
  );
}
