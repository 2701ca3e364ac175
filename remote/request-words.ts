import { frontendOptionsOf } from '../builder/image-frontend.ts';
import type { BuildRequest } from '../builder/request.ts';
import type { SbomScanner } from '../exporter/attest/attestation.ts';
import type { BuildWords } from './build-words.ts';
import { cacheFromWords, cacheToWords } from './cache-words.ts';
import { contextWords } from './context-words.ts';
import type { Loans } from './lend/loans.ts';
import { outputWords } from './output-words.ts';
import { refuseUnsendable } from './unsendable.ts';

/**
 * Writes a request in the words of BuildKit's API. `scratch` makes empty directories that are there
 * until the build is over. Throws KILN_REQUEST_UNSUPPORTED for what those words cannot say, and the
 * errors of contexts and Dockerfiles that are not there.
 */
export async function requestWords(
  request: BuildRequest,
  loans: Loans,
  scratch: () => string,
): Promise<BuildWords> {
  refuseUnsendable(request);
  const { options, ...lent } = await contextWords(request, loans, scratch);
  const entitlements = new Set(request.allow);
  if (request.network === 'host') entitlements.add('network.host');
  return {
    ...lent,
    frontend: request.frontend,
    options: {
      ...frontendOptionsOf(request),
      ...attestOptions(request),
      ...Object.fromEntries(request.frontendOptions),
      ...options,
    },
    inputs: Object.fromEntries(
      [...request.frontendInputs].map(([name, text]) => [name, Buffer.from(text, 'base64')]),
    ),
    outputs: request.outputs.map((output) => outputWords(output, request)),
    importCache: request.cacheFrom.map(cacheFromWords),
    exportCache: request.cacheTo.map(cacheToWords),
    entitlements: [...entitlements],
    sourcePolicy: request.sourcePolicies[0],
  };
}

function attestOptions({
  attest: { provenance, sbom, scanner },
}: BuildRequest): Record<string, string> {
  const { mode, version, builderId = '', reproducible } = provenance ?? {};
  const words = [
    `mode=${mode}`,
    ...(version === 'v0.2' ? ['version=v0.2'] : ['version=v1']),
    ...(builderId === '' ? [] : [`builder-id=${builderId}`]),
    ...(reproducible ? ['reproducible=true'] : []),
  ];
  return {
    ...(provenance && { 'attest:provenance': words.join(',') }),
    ...(sbom && { 'attest:sbom': scanner ? scannerWords(scanner) : '' }),
  };
}

/** A line of CSV. */
function scannerWords({ image, parameters }: SbomScanner): string {
  return Object.entries({ generator: image, ...parameters })
    .map(([name, value]) => `"${`${name}=${value}`.replaceAll('"', '""')}"`)
    .join(',');
}
