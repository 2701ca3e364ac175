/** A package that was found in an image. */
export interface FoundPackage {
  readonly name: string;
  /** Absent when the package does not state one. */
  readonly version?: string | undefined;
  /** An SPDX expression, when the package itself states one. */
  readonly licence?: string | undefined;
  /** A package URL (package-url/purl-spec). */
  readonly purl: string;
  /** The file of the image in which it was found. */
  readonly foundIn: string;
}

/**
 * Reads a file of the image. Undefined when it does not exist, is not a plain file, or is longer
 * than `limit` bytes.
 */
export type ReadImageFile = (path: string, limit?: number) => string | undefined;

/** The content of /etc/os-release. */
export interface Distribution {
  /** Such as `debian` or `alpine`; '' when the image does not state it. */
  readonly id: string;
  readonly version: string;
}

/**
 * The content of a database comes from the image and is not trusted: accepted values are short and
 * printable.
 */
export function soundName(name: string): boolean {
  return /^[\w@][\w.+~/@-]{0,213}$/.test(name);
}

export function soundVersion(version: string): boolean {
  return /^[\w.+~:^-]{1,128}$/.test(version);
}

/** Accepts only text in the form of an SPDX expression. */
export function soundLicence(text: string | undefined): string | undefined {
  return text &&
    /^[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*$/.test(text) &&
    text.length < 200
    ? text
    : undefined;
}
