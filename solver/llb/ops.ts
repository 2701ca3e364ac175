import type { Platform } from '../../base/platform.ts';
import type {
  CacheSharingNumber,
  ContentCache,
  MountType,
  NetMode,
  SecurityMode,
} from './enums.ts';

/**
 * The LLB ops (BuildKit solver/pb/ops.proto) as TypeScript values. An absent field and a proto3
 * zero value mean the same. `marshal.ts` turns a value into the bytes whose sha256 is the vertex
 * digest.
 */
export type LlbOp =
  | {
      readonly kind: 'source';
      readonly source: SourceOp;
      readonly platform?: Platform;
      readonly constraints?: WorkerConstraints;
    }
  | {
      readonly kind: 'exec';
      readonly exec: ExecOp;
      readonly platform?: Platform;
      readonly constraints?: WorkerConstraints;
    }
  | {
      readonly kind: 'file';
      readonly file: FileOp;
      readonly platform?: Platform;
      readonly constraints?: WorkerConstraints;
    }
  | {
      readonly kind: 'merge';
      readonly merge: MergeOp;
      readonly platform?: Platform;
      readonly constraints?: WorkerConstraints;
    }
  | {
      readonly kind: 'diff';
      readonly diff: DiffOp;
      readonly platform?: Platform;
      readonly constraints?: WorkerConstraints;
    }
  | {
      readonly kind: 'build';
      readonly build: BuildOp;
      readonly platform?: Platform;
      readonly constraints?: WorkerConstraints;
    };

export interface WorkerConstraints {
  readonly filter?: readonly string[];
}

export interface SourceOp {
  /** `docker-image://…`, `local://name`, `git://…`, `https://…`, `oci-layout://…` */
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** Runs a process. Its root file system is the mount at `/`. */
export interface ExecOp {
  readonly meta: ExecMeta;
  readonly mounts: readonly Mount[];
  readonly network: NetMode;
  readonly security: SecurityMode;
  readonly secretenv?: readonly {
    readonly id: string;
    readonly name: string;
    readonly optional: boolean;
  }[];
  readonly cdiDevices?: readonly { readonly name: string; readonly optional: boolean }[];
}

export interface ExecMeta {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user?: string;
  readonly proxyEnv?: ProxyEnv;
  readonly extraHosts?: readonly { readonly host: string; readonly ip: string }[];
  readonly hostname?: string;
  readonly ulimit?: readonly {
    readonly name: string;
    readonly soft: number;
    readonly hard: number;
  }[];
  readonly cgroupParent?: string;
  readonly removeMountStubsRecursive?: boolean;
  readonly validExitCodes?: readonly number[];
}

export interface ProxyEnv {
  readonly httpProxy?: string;
  readonly httpsProxy?: string;
  readonly ftpProxy?: string;
  readonly noProxy?: string;
  readonly allProxy?: string;
}

export interface Mount {
  /** The index of an input of the op; -1 for none. */
  readonly input: number;
  /** The path in the input that is mounted; the top if not given. */
  readonly selector?: string;
  readonly dest: string;
  /** The index of the output that this mount becomes; -1 for none. */
  readonly output: number;
  readonly readonly?: boolean;
  readonly mountType?: MountType;
  readonly tmpfs?: { readonly size: number };
  readonly cache?: { readonly id: string; readonly sharing: CacheSharingNumber };
  readonly secret?: {
    readonly id: string;
    readonly uid: number;
    readonly gid: number;
    readonly mode: number;
    readonly optional: boolean;
  };
  readonly ssh?: {
    readonly id: string;
    readonly uid: number;
    readonly gid: number;
    readonly mode: number;
    readonly optional: boolean;
  };
  readonly contentCache?: ContentCache;
}

/** Changes trees by actions in order. */
export interface FileOp {
  readonly actions: readonly FileAction[];
}

/**
 * One change of a tree. `input` and `secondaryInput` are indexes: below inputs.length an input of
 * the op, inputs.length + n the result of action n, -1 none.
 */
export interface FileAction {
  readonly input: number;
  readonly secondaryInput: number;
  readonly output: number;
  readonly action:
    | { readonly kind: 'copy'; readonly copy: FileActionCopy }
    | { readonly kind: 'mkfile'; readonly mkfile: FileActionMkFile }
    | { readonly kind: 'mkdir'; readonly mkdir: FileActionMkDir }
    | {
        readonly kind: 'rm';
        readonly rm: {
          readonly path: string;
          readonly allowNotFound: boolean;
          readonly allowWildcard: boolean;
        };
      }
    | { readonly kind: 'symlink'; readonly symlink: FileActionSymlink };
}

/** Copies from a tree. Paths are absolute in their trees; `src` may have wildcards. */
export interface FileActionCopy {
  readonly src: string;
  readonly dest: string;
  readonly owner?: ChownOpt;
  /** Mode bits; -1 keeps those of the source. */
  readonly mode: number;
  /** Follow `src` if it is a symlink. */
  readonly followSymlink: boolean;
  /** If `src` is a directory, copy its contents and not the directory itself. */
  readonly dirCopyContents: boolean;
  /** ADD: unpack a source that is a tar archive. */
  readonly attemptUnpackDockerCompatibility: boolean;
  readonly createDestPath: boolean;
  readonly allowWildcard: boolean;
  /** A wildcard may match nothing. */
  readonly allowEmptyWildcard: boolean;
  /** Nanoseconds since 1970; -1 keeps the time of the source. */
  readonly timestamp: number | bigint;
  readonly includePatterns?: readonly string[];
  readonly excludePatterns?: readonly string[];
  /** Replace existing files even if they are of another kind. */
  readonly alwaysReplaceExistingDestPaths?: boolean;
  /** A symbolic or octal mode as in chmod(1). It takes precedence over `mode`. */
  readonly modeStr?: string;
  /** Paths of the source tree that must be among the selected ones. */
  readonly requiredPaths?: readonly string[];
}

/** Makes a file. `timestamp` as in FileActionCopy. */
export interface FileActionMkFile {
  readonly path: string;
  readonly mode: number;
  readonly data: Uint8Array;
  readonly owner?: ChownOpt;
  readonly timestamp: number | bigint;
}

/** Makes a directory. `timestamp` as in FileActionCopy. */
export interface FileActionMkDir {
  readonly path: string;
  readonly mode: number;
  readonly makeParents: boolean;
  readonly owner?: ChownOpt;
  readonly timestamp: number | bigint;
}

/** Makes the symlink `newpath`, whose target is `oldpath`. `timestamp` as in FileActionCopy. */
export interface FileActionSymlink {
  readonly oldpath: string;
  readonly newpath: string;
  readonly owner?: ChownOpt;
  readonly timestamp: number | bigint;
}

export interface ChownOpt {
  readonly user?: UserOpt;
  readonly group?: UserOpt;
}

/**
 * A user or group. A name is looked up in the passwd (or group) file of the input with index
 * `input`.
 */
export type UserOpt =
  | { readonly by: 'name'; readonly name: string; readonly input: number }
  | { readonly by: 'id'; readonly id: number };

/** Stacks the trees of its inputs, the first at the bottom. */
export interface MergeOp {
  readonly inputs: readonly { readonly input: number }[];
}

/** The changes that lead from the tree `lower` to the tree `upper`. */
export interface DiffOp {
  readonly lower: { readonly input: number };
  readonly upper: { readonly input: number };
}

/** Builds a definition that another vertex makes. Kiln does not support it. */
export interface BuildOp {
  readonly builder: number;
  readonly inputs: Readonly<Record<string, { readonly input: number }>>;
  readonly def?: Uint8Array;
  readonly attrs: Readonly<Record<string, string>>;
}
