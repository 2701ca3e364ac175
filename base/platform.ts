/** An OCI platform (image-spec, image-index.md), normalised: `arm64` without variant `v8`, `arm` with one. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly osVersion?: string;
  readonly osFeatures?: readonly string[];
}
