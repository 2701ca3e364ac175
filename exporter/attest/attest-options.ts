import { tryParseReference } from '../../base/reference.ts';
import { FlagAttributes } from '../flag-attributes.ts';
import type { AttestOptions, ProvenanceOptions, SbomScanner } from './attestation.ts';

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
  let scanner: SbomScanner | undefined;
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
      const asked = scannerOf(reader);
      sbom = isWanted;
      if (isWanted) scanner = asked;
    }
    reader.end();
  }
  return { provenance, sbom, ...(scanner && { scanner }) };
}

/** Reads `generator=IMAGE`. All other attributes are then parameters of that image. */
function scannerOf(reader: FlagAttributes): SbomScanner | undefined {
  const image = reader.text('generator');
  if (!image) return undefined;
  if (!tryParseReference(image))
    throw reader.fail(
      `generator=${JSON.stringify(image)} is not the name of an image`,
      'name an image that scans by the SBOM protocol of BuildKit, such as ' +
        'docker/buildkit-syft-scanner',
    );
  const parameters = reader.matching((name, value) =>
    OWN.has(name) ? undefined : { name, value },
  );
  for (const { name, value } of parameters)
    if (!/^[^=\0]+$/.test(name) || value.includes('\0'))
      throw reader.fail(
        `the parameter ${JSON.stringify(name)} of the generator cannot be a variable`,
        undefined,
      );
  return {
    image,
    parameters: Object.fromEntries(parameters.map(({ name, value }) => [name, value])),
  };
}

/** The attributes of `type=sbom` that are no parameters. */
const OWN: ReadonlySet<string> = new Set(['type', 'disabled', 'generator']);

function provenanceOf(reader: FlagAttributes): ProvenanceOptions {
  const mode = reader.choice('mode', ['min', 'max', 'full']) ?? 'min';
  const fileName = fileNameIn(reader);
  for (const [name, why] of UNSUPPORTED)
    if (reader.flag(name))
      throw reader.fail(`${name}=true is not supported: ${why}`, 'leave it out');
  return {
    mode: mode === 'full' ? 'max' : mode,
    version: reader.choice('version', ['v1', 'v0.2']) ?? 'v1',
    builderId: reader.text('builder-id') ?? '',
    reproducible: reader.flag('reproducible') ?? false,
    inlineOnly: reader.flag('inline-only') ?? false,
    ...(fileName !== undefined && { fileName }),
  };
}

/** What BuildKit may be asked for besides. False asks for what there is. */
const UNSUPPORTED = [
  ['complete-materials', 'nothing notes what a RUN gets from the network'],
  ['capture-usage', 'provenance does not tell what steps used'],
] as const;

/** Reads `filename`, under which the statement is written beside files. */
function fileNameIn(reader: FlagAttributes): string | undefined {
  const name = reader.text('filename');
  if (name === undefined) return undefined;
  if (/^[^/\0]{1,200}$/.test(name) && name !== '.' && name !== '..') return name;
  throw reader.fail(
    `filename ${JSON.stringify(name)} is not the name of a file`,
    'leave slashes out: the file is written at the top of the tree',
  );
}
