/** A package that was found in an image. */
export interface FoundPackage {
  readonly name: string;
  readonly version: string;
  /** An SPDX expression as the package itself gives it, when it gives one. */
  readonly licence?: string | undefined;
  /** A package URL (package-url/purl-spec). */
  readonly purl: string;
  /** Where in the image it is written. */
  readonly foundIn: string;
}

/** Reads a file of the image; undefined when there is none, or it is no plain file, or longer than `limit` bytes. */
export type ReadImageFile = (path: string, limit?: number) => string | undefined;

/** What /etc/os-release says. */
export interface Distribution {
  /** `debian`, `alpine`; '' when the image does not say. */
  readonly id: string;
  readonly version: string;
}
