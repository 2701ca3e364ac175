import { FlagAttributes } from '../flag-attributes.ts';
import type { AttestOptions, ProvenanceOptions } from './attestation.ts';

/** One flag: its fields in order, and its name. */
export interface AttestFlag {
  readonly flag: '--attest' | '--provenance' | '--sbom';
  readonly fields: ReadonlyMap<string, string>;
}

/**
 * Parses the requested attestations as buildx does (docs.docker.com, build/metadata/attestations):
 * `type=provenance,mode=max`, `type=sbom`, `disabled=true`. Nothing is attested unless it is
 * requested. Throws KILN_ATTEST_INVALID.
 */
export function parseAttestations(flags: readonly AttestFlag[]): AttestOptions {
  const seen = new Set<string>();
  let provenance: ProvenanceOptions | undefined;
  let sbom = false;
  for (const { flag, fields } of flags) {
    const reader = new FlagAttributes(flag, 'KILN_ATTEST_INVALID', fields);
    const type = reader.type(['provenance', 'sbom']);
    if (seen.has(type))
      throw reader.fail(`${type} is requested twice`, `give one flag for ${type}`);
    seen.add(type);
    const isWanted = !reader.flag('disabled');
    if (type === 'provenance') {
      const options = provenanceOf(reader);
      if (isWanted) provenance = options;
    } else {
      const generator = reader.text('generator');
      if (isWanted && generator)
        throw reader.fail(
          'SBOM generators are not supported',
          'leave generator out: Kiln reads the package databases of the image itself',
        );
      sbom = isWanted;
    }
    reader.end();
  }
  return { provenance, sbom };
}

function provenanceOf(reader: FlagAttributes): ProvenanceOptions {
  return {
    mode: reader.choice('mode', ['min', 'max']) ?? 'min',
    version: reader.choice('version', ['v1', 'v0.2']) ?? 'v1',
    builderId: reader.text('builder-id') ?? '',
    reproducible: reader.flag('reproducible') ?? false,
    inlineOnly: reader.flag('inline-only') ?? false,
  };
}
