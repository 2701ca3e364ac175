import { KilnError } from '../../base/errors.ts';
import { didYouMean } from '../../base/suggest.ts';

/** What `--allow` can allow; a device may be named as `device=NAME`. */
export const ENTITLEMENTS = ['network.host', 'security.insecure', 'device'];

/** One `--allow`. */
export function parseEntitlement(value: string): string {
  if (ENTITLEMENTS.includes(value.replace(/^device=.+$/, 'device'))) return value;
  throw new KilnError(
    'KILN_FLAG_VALUE',
    `${JSON.stringify(value)} is not something that can be allowed`,
    {
      place: { kind: 'flag', flag: '--allow' },
      hint:
        'it is one of network.host, security.insecure, device and ' +
        `device=NAME${didYouMean(value, ENTITLEMENTS)}`,
      exitCode: 2,
    },
  );
}
