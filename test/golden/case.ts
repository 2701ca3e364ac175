/**
 * A Dockerfile on which Docker 28 and Kiln must agree: the results have the same tree, config,
 * history and number of layers, or both refuse it.
 */
export interface GoldenCase {
  readonly name: string;
  readonly dockerfile: string;
  /** Other files of the context. */
  readonly files?: Files;
  /** Modes of files and directories in the context. The defaults are 0644 and 0755. */
  readonly modes?: Readonly<Record<string, number>>;
  readonly links?: Readonly<Record<string, string>>;
  /** Extended attributes of files in the context, with values in base64. */
  readonly xattrs?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Archives in the context. Each has the files of the directory `of`, compressed by `program`. */
  readonly archives?: Readonly<
    Record<string, { readonly of: string; readonly program?: 'gzip' | 'bzip2' | 'xz' | 'zstd' }>
  >;
  /** The name of the Dockerfile in the context. */
  readonly file?: string;
  /**
   * Directories beside the context. In `args`, `{name}` is replaced by the path of such a directory
   * and `{context}` by that of the context.
   */
  readonly outside?: Readonly<Record<string, Files>>;
  readonly args?: readonly string[];
  /**
   * What the build gets on standard input: a Dockerfile without a context (`-`), the Dockerfile of
   * the context (`-f -`), or the context as an archive.
   */
  readonly stdin?: 'dockerfile' | 'dockerfile-of-context' | 'tar' | 'tar.gz';
  /**
   * The base image. Only differences from it are compared. The default is busybox, `tools` is the
   * image of tools.ts, and `odd` is that of odd.ts.
   */
  readonly base?: 'busybox' | 'tools' | 'odd';
  /** More names for the image of tools.ts, in the stores of both engines. */
  readonly standsInFor?: readonly string[];
  /** The platforms of the result, when it is built for more than linux/amd64. */
  readonly platforms?: readonly string[];
  /** More attributes of the output. */
  readonly output?: string;
  /** All times are compared, also those of the build. */
  readonly times?: boolean;
  /** Both engines refuse the build. */
  readonly refused?: boolean;
  /** The reason why Docker 28 cannot build it. The expected result was written by hand. */
  readonly byHand?: string;
  /**
   * A difference on purpose: the reason, and the result that is expected from Kiln. The file with
   * the expected result keeps that of Docker.
   */
  readonly differs?: { readonly why: string; readonly expect: (docker: Comparable) => Comparable };
}

/** The parts of an image that are compared: see `comparable`. */
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

/** Joins lines to a text. Each line ends with a line break. */
export const lines = (...text: readonly string[]): string =>
  text.map((line) => `${line}\n`).join('');
