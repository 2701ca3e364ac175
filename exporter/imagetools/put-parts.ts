import { KilnError } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import type { RegistryClient } from '../../registry/client.ts';
import { referrerOf, subjectOf } from '../../registry/referrers.ts';
import { type CopyReport, copyToLayout } from '../copy/to-layout.ts';
import { type PushDocument, type PushOptions, pushImage } from '../push-image.ts';
import type { NewParts } from './create.ts';
import type { ImageLocation } from './image-location.ts';
import { SUBJECT } from './layout-location.ts';

/**
 * Puts a new image and its parts where `to` names it. All of `to` are in one repository or in one
 * layout. Rejects with the errors of a push, or with those of writing a layout.
 */
export async function putParts(
  { image, referrers }: NewParts,
  to: readonly ImageLocation[],
  options: CopyReport & Pick<PushOptions, 'report'> & { readonly client: RegistryClient },
): Promise<void> {
  const pushed = to.flatMap(({ target }) => (target.kind === 'registry' ? [target.reference] : []));
  if (pushed.length > 0) await pushImage(options.client, image, pushed, options);
  for (const { target, name } of to) {
    if (target.kind === 'registry') continue;
    const { path, digest, tag = digest === undefined ? 'latest' : undefined } = target.layout;
    if (digest !== undefined && digest !== image.root.digest)
      throw new KilnError(
        'KILN_DIGEST_MISMATCH',
        `the new image is ${image.root.digest}, not ${name}`,
      );
    const about = referrers.map(referrerEntry);
    await copyToLayout(image, { kind: 'oci', path, tag }, { ...options, beside: about });
  }
}

/** The entry of index.json that says which document a referrer refers to. */
function referrerEntry({ bytes, mediaType }: PushDocument): Descriptor {
  const entry = referrerOf(bytes, mediaType);
  const subject = subjectOf(bytes);
  return subject === undefined
    ? entry
    : { ...entry, annotations: { ...entry.annotations, [SUBJECT]: subject } };
}
