import { KilnError } from '../../base/errors.ts';
import { type Reference, tryParseReference } from '../../base/reference.ts';

/** The image that FROM or a context names. Throws KILN_IMAGE_NAME. */
export function imageNamed(text: string): Reference {
  const found = tryParseReference(text);
  if (found) return found;
  const hint = nextStep(text);
  throw new KilnError('KILN_IMAGE_NAME', `${JSON.stringify(text)} is not an image name`, { hint });
}

function nextStep(text: string): string {
  const lower = text.toLowerCase();
  if (lower !== text && tryParseReference(lower))
    return 'an image name is in lower case; only its tag may have capitals';
  const [name = '', digest] = text.split('@', 2);
  if (digest !== undefined && tryParseReference(name))
    return 'behind the @ write the whole digest: sha256: and 64 hexadecimal digits';
  if (/[:@]$/.test(text) && tryParseReference(text.slice(0, -1)))
    return 'its tag is empty: write one, or give the variable in it a value';
  return 'write NAME, NAME:TAG or NAME@DIGEST; NAME has lower-case letters, digits and . _ - /';
}
