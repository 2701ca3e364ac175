/** A package that was found in an image. */
export interface FoundPackage {
  readonly name: string;
  /** Absent where the package does not say. */
  readonly version?: string | undefined;
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

/** Everything that a database says is an image's own word: what is taken is short and printable. */
export function soundName(name: string): boolean {
  return /^[\w@][\w.+~/@-]{0,213}$/.test(name);
}

export function soundVersion(version: string): boolean {
  return /^[\w.+~:^-]{1,128}$/.test(version);
}

/** Only what is sure to be an SPDX expression in form. */
export function soundLicence(text: string | undefined): string | undefined {
  return text && /^[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*$/.test(text) && text.length < 200 ? text : undefined;
}
