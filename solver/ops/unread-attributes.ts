import { KilnError } from '../../base/errors.ts';
import type { SourceOp } from '../llb/ops.ts';

/**
 * Throws KILN_SOURCE_UNSUPPORTED if a source has one of the attributes of which Kiln knows that it
 * cannot do what they ask: a signature that nobody verifies must not look like one that was. A name
 * that ends with a dot is the beginning of several.
 */
export function refuseUnread(
  attrs: SourceOp['attrs'],
  unread: readonly string[],
  kind: string,
): void {
  for (const [name, value] of Object.entries(attrs)) {
    const isUnread = unread.some((one) =>
      one.endsWith('.') ? name.startsWith(one) : name === one,
    );
    if (!isUnread || value === '' || value === 'false') continue;
    throw new KilnError(
      'KILN_SOURCE_UNSUPPORTED',
      `a ${kind} source has the attribute ${name}, which is not supported`,
      { hint: 'leave it out; a checksum says as well which bytes are wanted' },
    );
  }
}
