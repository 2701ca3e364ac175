import {
  choiceField,
  flagField,
  intField,
  message,
  messageField,
  optionalField,
  textField,
} from './codec.ts';

/** pb.MountType */
export const MOUNT_TYPE = { bind: 0, secret: 1, ssh: 2, cache: 3, tmpfs: 4 } as const;
export type MountTypeName = keyof typeof MOUNT_TYPE;
type MountType = (typeof MOUNT_TYPE)[MountTypeName];

/** pb.CacheSharingOpt */
export const CACHE_SHARING = { shared: 0, private: 1, locked: 2 } as const;
type CacheSharingNumber = (typeof CACHE_SHARING)[keyof typeof CACHE_SHARING];

/** pb.MountContentCache */
const CONTENT_CACHE = { default: 0, on: 1, off: 2 } as const;
type ContentCache = (typeof CONTENT_CACHE)[keyof typeof CONTENT_CACHE];

/** pb.Mount: what a process has in its file system besides the base, and its base itself. */
export interface Mount {
  /** The index of an input of the op; -1 for none. */
  readonly input: number;
  /** The path in the input that is mounted; the top if not given. */
  readonly selector?: string;
  readonly dest: string;
  /** The index of the output that this mount becomes; -1 for none. */
  readonly output: number;
  readonly readonly?: boolean;
  /** A bind when absent. */
  readonly mountType?: MountType;
  readonly tmpfs?: TmpfsOptions;
  readonly cache?: CacheOptions;
  readonly secret?: LentOptions;
  readonly ssh?: LentOptions;
  readonly contentCache?: ContentCache;
  /** The result that a container mounts, by the name that a client knows it by. Not in graphs. */
  readonly resultID?: string;
}

/** pb.TmpfsOpt. The size is in bytes; 0 is no limit. */
interface TmpfsOptions {
  readonly size: number;
}
const TMPFS_OPTIONS = message<TmpfsOptions>({ size: intField(1) });

/** pb.CacheOpt */
interface CacheOptions {
  readonly id: string;
  readonly sharing: CacheSharingNumber;
}
const CACHE_OPTIONS = message<CacheOptions>({
  id: textField(1, 'ID'),
  sharing: choiceField(2, CACHE_SHARING),
});

/** pb.SecretOpt and pb.SSHOpt, which have the same fields: what the caller of a build lends. */
export interface LentOptions {
  readonly id: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly optional: boolean;
}
const LENT_OPTIONS = message<LentOptions>({
  id: textField(1, 'ID'),
  uid: intField(2),
  gid: intField(3),
  mode: intField(4),
  optional: flagField(5),
});

export const MOUNT = message<Mount>({
  input: intField(1),
  selector: optionalField(textField(2)),
  dest: textField(3),
  output: intField(4),
  readonly: optionalField(flagField(5)),
  mountType: optionalField(choiceField(6, MOUNT_TYPE)),
  tmpfs: optionalField(messageField(19, TMPFS_OPTIONS, 'TmpfsOpt')),
  cache: optionalField(messageField(20, CACHE_OPTIONS, 'cacheOpt')),
  secret: optionalField(messageField(21, LENT_OPTIONS, 'secretOpt')),
  ssh: optionalField(messageField(22, LENT_OPTIONS, 'SSHOpt')),
  resultID: optionalField(textField(23)),
  contentCache: optionalField(choiceField(24, CONTENT_CACHE)),
});

/** The capabilities that BuildKit's client names for a mount, by its type. */
export const MOUNT_CAPS: {
  readonly [type in MountTypeName]: (mount: Pick<Mount, 'tmpfs' | 'cache'>) => readonly string[];
} = {
  bind: () => ['exec.mount.bind'],
  secret: () => ['exec.mount.secret'],
  ssh: () => ['exec.mount.ssh'],
  cache: () => ['exec.mount.cache', 'exec.mount.cache.sharing'],
  tmpfs: ({ tmpfs }) => [
    'exec.mount.tmpfs',
    ...(tmpfs && tmpfs.size > 0 ? ['exec.mount.tmpfs.size'] : []),
  ],
};
