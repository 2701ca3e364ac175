import type { Descriptor } from '../../base/oci.ts';
import type { BuiltTarget } from '../target.ts';

/** One statement about an image for one platform: a predicate of in-toto. */
export interface Predicate {
  /** A URI, such as `https://slsa.dev/provenance/v1`. */
  readonly type: string;
  /** The JSON content. A member that is undefined is left out. */
  readonly body: object | null;
  /** The name of the file, where the statement is written as a file. */
  readonly fileName: string;
  /** What it is about. Undefined for the result itself. */
  readonly subjects?: readonly StatementSubject[] | undefined;
  /** It is written into images, not beside files. */
  readonly inlineOnly?: boolean | undefined;
  /** An SBOM of the result itself. In images it tells the layer of each file. */
  readonly isSbomOfResult?: boolean | undefined;
}

/** What a statement is about. `self` stands for the result: the image, or each of its files. */
export type StatementSubject =
  | 'self'
  | { readonly name: string; readonly digest: Readonly<Record<string, string>> };

/**
 * Makes the predicates for a target. Nothing is computed before it is called. `layers` are those of
 * the image that is written, for an image.
 */
export type Attestor = (
  target: BuiltTarget,
  layers?: readonly Descriptor[],
) => Promise<readonly Predicate[]>;

/** `--attest`, `--provenance` and `--sbom`, parsed. */
export interface AttestOptions {
  readonly provenance: ProvenanceOptions | undefined;
  readonly sbom: boolean;
  /** What makes the SBOM. Undefined for Kiln's own scan. */
  readonly scanner?: SbomScanner | undefined;
}

/** An image that makes SBOMs by BuildKit's protocol (docs/attestations/sbom-protocol.md there). */
export interface SbomScanner {
  /** Its name, as it is written in FROM. */
  readonly image: string;
  /** It finds each as the variable `BUILDKIT_SCAN_NAME`. */
  readonly parameters: Readonly<Record<string, string>>;
}

export interface ProvenanceOptions {
  /**
   * `max` also includes build arguments, labels, the names of secrets, the graph and the
   * Dockerfile.
   */
  readonly mode: 'min' | 'max';
  readonly version: 'v1' | 'v0.2';
  readonly builderId: string;
  /** The user states that the build is reproducible. */
  readonly reproducible: boolean;
  /** Belongs in images, not beside files. */
  readonly inlineOnly: boolean;
  /** The name of the file where it is written beside files. The default is `provenance.json`. */
  readonly fileName?: string | undefined;
}

export const SPDX = 'https://spdx.dev/Document';
export const SLSA: Readonly<Record<ProvenanceOptions['version'], string>> = {
  v1: 'https://slsa.dev/provenance/v1',
  'v0.2': 'https://slsa.dev/provenance/v0.2',
};
