import { KilnError } from '../base/errors.ts';

/** The error about annotations of an index for an image that has none. */
export function indexNeeded(): KilnError {
  return new KilnError(
    'KILN_OUTPUT_INVALID',
    'index annotations need an index, and a build for one platform has none',
    {
      place: { kind: 'flag', flag: '--output' },
      hint: 'annotate the manifest, or build for several platforms',
      exitCode: 2,
    },
  );
}

/** The error about what images with Docker's media types cannot have. */
export function needsOciTypes(what: string): KilnError {
  return new KilnError('KILN_OUTPUT_INVALID', `${what} conflicts with oci-mediatypes=false`, {
    place: { kind: 'flag', flag: '--output' },
    hint: "leave oci-mediatypes=false out: the default media types are OCI's",
    exitCode: 2,
  });
}

/** The error about an archive for `docker load` that would have to hold several platforms. */
export function severalPlatforms(): KilnError {
  return new KilnError(
    'KILN_OUTPUT_INVALID',
    'type=docker cannot hold an image for several platforms',
    {
      place: { kind: 'flag', flag: '--output' },
      hint: 'use type=oci, or build for one platform',
      exitCode: 2,
    },
  );
}
