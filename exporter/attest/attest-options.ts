import { KilnError } from '../../base/errors.ts';
import type { AttestOptions, ProvenanceOptions } from './attestation.ts';

/** One flag: its fields in order, and its name. */
export interface AttestFlag {
  readonly flag: '--attest' | '--provenance' | '--sbom';
  readonly fields: ReadonlyMap<string, string>;
}

const FIELDS: Readonly<Record<'provenance' | 'sbom', readonly string[]>> = {
  provenance: ['type', 'mode', 'version', 'builder-id', 'reproducible', 'disabled'],
  sbom: ['type', 'generator', 'disabled'],
};

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
    const type = fields.get('type') ?? '';
    if (type !== 'provenance' && type !== 'sbom')
      throw invalid(
        flag,
        `unknown attestation type ${JSON.stringify(type)}`,
        'the types are provenance and sbom',
      );
    if (seen.has(type))
      throw invalid(flag, `${type} is requested twice`, `give ${type} with one flag`);
    seen.add(type);
    const unknown = [...fields.keys()].find((name) => !FIELDS[type].includes(name));
    if (unknown !== undefined)
      throw invalid(
        flag,
        `${JSON.stringify(unknown)} is not an attribute of ${type}`,
        `it has ${FIELDS[type].slice(1).join(', ')}`,
      );
    if (isTrue(flag, fields, 'disabled')) continue;
    if (type === 'provenance') provenance = provenanceOf(flag, fields);
    else sbom = sbomOf(flag, fields);
  }
  return { provenance, sbom };
}

function provenanceOf(flag: string, fields: ReadonlyMap<string, string>): ProvenanceOptions {
  const mode = fields.get('mode') || 'min';
  if (mode !== 'min' && mode !== 'max')
    throw invalid(
      flag,
      `unknown provenance mode ${JSON.stringify(mode)}`,
      'the modes are min and max',
    );
  const version = fields.get('version') || 'v1';
  if (version !== 'v1' && version !== 'v0.2')
    throw invalid(
      flag,
      `unknown provenance version ${JSON.stringify(version)}`,
      'the versions are v1 and v0.2',
    );
  return {
    mode,
    version,
    builderId: fields.get('builder-id') ?? '',
    reproducible: isTrue(flag, fields, 'reproducible'),
  };
}

function sbomOf(flag: string, fields: ReadonlyMap<string, string>): boolean {
  const generator = fields.get('generator');
  if (!generator) return true;
  throw invalid(
    flag,
    'SBOM generators are not supported',
    'leave generator out: Kiln reads the package databases of the image itself',
  );
}

function isTrue(flag: string, fields: ReadonlyMap<string, string>, name: string): boolean {
  const value = fields.get(name);
  if (value === undefined || /^(false|0|f)$/i.test(value)) return false;
  if (/^(true|1|t|)$/i.test(value)) return true;
  throw invalid(flag, `${name}=${value} is neither true nor false`, undefined);
}

function invalid(flag: string, message: string, hint: string | undefined): KilnError {
  return new KilnError('KILN_ATTEST_INVALID', message, {
    place: { kind: 'flag', flag },
    hint,
    exitCode: 2,
  });
}
