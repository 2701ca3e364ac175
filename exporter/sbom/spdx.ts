import { digestOfParts, hexOf } from '../../base/digest.ts';
import { type Predicate, SPDX } from '../attest/attestation.ts';
import { rfc3339 } from '../history.ts';
import type { FoundPackage } from './package.ts';
import type { Scan } from './scan.ts';

const NOTHING = 'NOASSERTION';

/**
 * The scan as an SPDX 2.3 document in JSON (spdx.github.io/spdx-spec/v2.3). `time`: milliseconds
 * since 1970.
 */
export function spdx(scan: Scan, name: string, time: number): Predicate {
  const packages = scan.packages.map(packageOf);
  const identity = hexOf(
    digestOfParts([
      name,
      String(time),
      ...scan.packages.map(({ purl, foundIn }) => `${purl} ${foundIn}`),
    ]),
  );
  const body = {
    SPDXID: 'SPDXRef-DOCUMENT',
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    name,
    documentNamespace: `https://spdx.org/spdxdocs/kiln-${identity.slice(0, 32)}`,
    comment:
      scan.unread.length > 0
        ? `not read: ${scan.unread.map((path) => `/${path}`).join(', ')}`
        : undefined,
    creationInfo: {
      created: `${rfc3339(Math.floor(time / 1000) * 1000)}`,
      creators: ['Tool: kiln'],
    },
    packages: [image(name, scan.distribution), ...packages],
    relationships: [
      {
        spdxElementId: 'SPDXRef-DOCUMENT',
        relationshipType: 'DESCRIBES',
        relatedSpdxElement: 'SPDXRef-Image',
      },
      ...packages.map(({ SPDXID }) => ({
        spdxElementId: 'SPDXRef-Image',
        relationshipType: 'CONTAINS',
        relatedSpdxElement: SPDXID,
      })),
    ],
  };
  return { type: SPDX, body, fileName: 'sbom.spdx.json' };
}

function image(name: string, distribution: string): object {
  return {
    SPDXID: 'SPDXRef-Image',
    name,
    downloadLocation: NOTHING,
    filesAnalyzed: false,
    licenseConcluded: NOTHING,
    licenseDeclared: NOTHING,
    copyrightText: NOTHING,
    primaryPackagePurpose: 'CONTAINER',
    comment: distribution === '' ? undefined : `distribution: ${distribution}`,
  };
}

function packageOf({ name, version, licence, purl, foundIn }: FoundPackage) {
  return {
    SPDXID: `SPDXRef-Package-${hexOf(digestOfParts([purl, foundIn])).slice(0, 16)}`,
    name,
    versionInfo: version,
    supplier: NOTHING,
    downloadLocation: NOTHING,
    filesAnalyzed: false,
    sourceInfo: `from /${foundIn}`,
    licenseConcluded: NOTHING,
    licenseDeclared: licence ?? NOTHING,
    copyrightText: NOTHING,
    externalRefs: [
      { referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: purl },
    ],
  };
}
