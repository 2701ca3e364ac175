import { KilnError } from '../../base/errors.ts';
import { MissingCap } from '../grpc/missing-cap.ts';
import type { FrontendOptions } from './option-maps.ts';

/** What a client may require of the built-in frontend. */
const CAPS: ReadonlySet<string> = new Set([
  'moby.buildkit.frontend.inputs',
  'moby.buildkit.frontend.subrequests',
  'moby.buildkit.frontend.contexts',
  'moby.buildkit.frontend.gitquerystring',
]);

/**
 * Throws KILN_FRONTEND_UNSUPPORTED when the option `frontend.caps` requires what the built-in
 * frontend does not have. What is marked `+forward` may be left to the frontend of an image.
 */
export function requireCaps(options: FrontendOptions): void {
  for (const wanted of (options['frontend.caps'] ?? '').split(',').filter(Boolean)) {
    const [cap = '', ...marks] = wanted.split('+');
    if (CAPS.has(cap) || marks.includes('forward')) continue;
    throw new KilnError('KILN_FRONTEND_UNSUPPORTED', `unsupported frontend capability ${cap}`, {
      hint: `the frontend has ${[...CAPS].join(', ')}`,
      cause: new MissingCap(cap),
    });
  }
}
