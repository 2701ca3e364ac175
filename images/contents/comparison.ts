import type { Digest } from '../../base/digest.ts';
import type { ContentsKind } from './contents.ts';

/** What is different between two images, the first one being the older. Plain JSON. */
export interface ImageComparison {
  /** The form of this document. */
  readonly version: 1;
  readonly from: ComparedImage;
  readonly to: ComparedImage;
  readonly layers: {
    /** How many layers, from the lowest on, both have. */
    readonly shared: number;
    /** The indexes of the layers that only this image has. */
    readonly removed: readonly number[];
    readonly added: readonly number[];
  };
  /** What is different in the configs. */
  readonly config: readonly ConfigChange[];
  readonly files: {
    readonly added: ChangeTotal;
    readonly removed: ChangeTotal;
    readonly changed: ChangeTotal;
    /** How many differ in their time alone. They are not listed. */
    readonly touched: number;
    /** Those that change the size of the image most, at most as many as were asked for. */
    readonly list: readonly ComparedFile[];
  };
  readonly packages: {
    readonly added: number;
    readonly removed: number;
    readonly changed: number;
    readonly list: readonly PackageChange[];
    /** Package managers whose database cannot be read, and why. */
    readonly unreadable: readonly { readonly kind: PackageKind; readonly text: string }[];
  };
}

export interface ComparedImage {
  readonly name?: string;
  readonly digest: Digest;
  readonly platform: string;
  /** The bytes of its files. */
  readonly bytes: number;
  readonly layers: number;
}

/** Directories count as files. */
export interface ChangeTotal {
  readonly files: number;
  /** By how much the files make the image larger. Negative for smaller. */
  readonly bytes: number;
}

export interface ConfigChange {
  /** Such as `Env PATH`, `Entrypoint` or `Labels org.example`. */
  readonly field: string;
  /** JSON for what is no text. Undefined when the image does not have it. */
  readonly from?: string;
  readonly to?: string;
}

export interface ComparedFile {
  readonly path: string;
  readonly change: 'added' | 'removed' | 'changed';
  readonly from?: FileFacts;
  readonly to?: FileFacts;
  /** What is different in a changed file. */
  readonly what: readonly FileDifference[];
}

export type FileDifference = 'type' | 'content' | 'mode' | 'owner' | 'target' | 'device' | 'time';

export interface FileFacts {
  readonly type: ContentsKind;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly layer: number;
}

export type PackageKind = 'deb' | 'apk' | 'rpm' | 'npm';

export interface PackageChange {
  readonly kind: PackageKind;
  readonly name: string;
  /** Several versions of one npm package are separated by commas. */
  readonly from?: string;
  readonly to?: string;
}
