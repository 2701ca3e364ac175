import type { BuiltTarget } from '../target.ts';

/** One thing that is said about an image, for one platform: a predicate of in-toto. */
export interface Predicate {
  /** A URI, such as `https://slsa.dev/provenance/v1`. */
  readonly type: string;
  /** JSON values; a member that is undefined is left out. */
  readonly body: object;
  /** How it is called where it is written as a file. */
  readonly fileName: string;
}

/** What is to be said about a target. Asked once for each; nothing is worked out before. */
export type Attestor = (target: BuiltTarget) => Promise<readonly Predicate[]>;

/** `--attest`, `--provenance` and `--sbom`, parsed. */
export interface AttestOptions {
  readonly provenance: ProvenanceOptions | undefined;
  readonly sbom: boolean;
}

export interface ProvenanceOptions {
  /** `max` also tells build arguments, labels, the names of secrets, the graph and the Dockerfile. */
  readonly mode: 'min' | 'max';
  readonly version: 'v1' | 'v0.2';
  readonly builderId: string;
  /** The user says that the build gives the same bytes again. */
  readonly reproducible: boolean;
}

export const SPDX = 'https://spdx.dev/Document';
export const SLSA: Readonly<Record<ProvenanceOptions['version'], string>> = {
  v1: 'https://slsa.dev/provenance/v1',
  'v0.2': 'https://slsa.dev/provenance/v0.2',
};
