/**
 * One Dockerfile that Docker 28 and Kiln must agree on: tree, config, history and number of layers,
 * or that both refuse.
 */
export interface GoldenCase {
  readonly name: string;
  readonly dockerfile: string;
  /** Other files of the context. */
  readonly files?: Files;
  /** Modes of files and directories in the context; 0644 and 0755 unless told. */
  readonly modes?: Readonly<Record<string, number>>;
  readonly links?: Readonly<Record<string, string>>;
  /** Extended attributes of files in the context, their values in base64. */
  readonly xattrs?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Archives in the context, made of one of its directories; the program compresses. */
  readonly archives?: Readonly<
    Record<string, { readonly of: string; readonly program?: 'gzip' | 'bzip2' | 'xz' | 'zstd' }>
  >;
  /** The Dockerfile's name in the context. */
  readonly file?: string;
  /**
   * Directories beside the context; `{name}` in `args` stands for the path of one, `{context}` for
   * the context's.
   */
  readonly outside?: Readonly<Record<string, Files>>;
  readonly args?: readonly string[];
  /**
   * What comes on standard input: the Dockerfile (`- `as context), the Dockerfile for the directory
   * (`-f -`), or the context as an archive.
   */
  readonly stdin?: 'dockerfile' | 'dockerfile-of-context' | 'tar' | 'tar.gz';
  /**
   * What the result is compared with, busybox unless told; `tools` is the stand-in of
   * test/golden/tools.ts, `odd` the image of odd.ts.
   */
  readonly base?: 'busybox' | 'tools' | 'odd';
  /** Names that the stand-in is to have in both stores. */
  readonly standsInFor?: readonly string[];
  /** Results to read, when more than linux/amd64 is asked for. */
  readonly platforms?: readonly string[];
  /** Further attributes of the output; with `times`, all times are compared. */
  readonly output?: string;
  readonly times?: boolean;
  /** Both engines refuse it. */
  readonly refused?: boolean;
  /** Docker 28 cannot be asked, and why: the expected answer was written by hand. */
  readonly byHand?: string;
  /**
   * Where Kiln differs on purpose: why, and what is expected instead of Docker's answer, which
   * stays frozen as it is.
   */
  readonly differs?: { readonly why: string; readonly expect: (docker: Comparable) => Comparable };
}

/** An image as it is compared; see `comparable`. */
export interface Comparable {
  readonly tree: Record<string, Record<string, unknown> | null>;
  readonly config: {
    history?: { created?: string }[];
    created?: string;
    rootfs?: unknown;
    [field: string]: unknown;
  };
  readonly layers: number;
}

export type Files = Readonly<Record<string, string>>;

/** The lines of a text, each ended. */
export const lines = (...text: readonly string[]): string =>
  text.map((line) => `${line}\n`).join('');
