import { KilnError } from '../../base/errors.ts';
import { type Reference, tryParseReference } from '../../base/reference.ts';

/** The image that FROM or a context names. Throws KILN_IMAGE_NAME. */
export function imageNamed(text: string): Reference {
  const found = tryParseReference(text);
  if (found) return found;
  const lower = text.toLowerCase();
  const hint =
    lower !== text && tryParseReference(lower)
      ? 'an image name is in lower case; only its tag may have capitals'
      : undefined;
  throw new KilnError('KILN_IMAGE_NAME', `${JSON.stringify(text)} is not an image name`, { hint });
}
