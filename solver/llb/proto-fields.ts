/**
 * The field numbers of LLB messages (BuildKit solver/pb/ops.proto), by the field names of ops.ts.
 * Reading and writing use the same constants, so they cannot differ.
 */

export const OP = {
  inputs: 1,
  exec: 2,
  source: 3,
  file: 4,
  build: 5,
  merge: 6,
  diff: 7,
  platform: 10,
  constraints: 11,
} as const;
export const INPUT = { digest: 1, index: 2 } as const;
export const PLATFORM = {
  architecture: 1,
  os: 2,
  variant: 3,
  osVersion: 4,
  osFeatures: 5,
} as const;
export const WORKER_CONSTRAINTS = { filter: 1 } as const;
export const SOURCE_OP = { identifier: 1, attrs: 2 } as const;
export const EXEC_OP = {
  meta: 1,
  mounts: 2,
  network: 3,
  security: 4,
  secretenv: 5,
  cdiDevices: 6,
} as const;
export const SECRET_ENV = { id: 1, name: 2, optional: 3 } as const;
export const CDI_DEVICE = { name: 1, optional: 2 } as const;
export const META = {
  args: 1,
  env: 2,
  cwd: 3,
  user: 4,
  proxyEnv: 5,
  extraHosts: 6,
  hostname: 7,
  ulimit: 9,
  cgroupParent: 10,
  removeMountStubsRecursive: 11,
  validExitCodes: 12,
} as const;
export const HOST_IP = { host: 1, ip: 2 } as const;
export const ULIMIT = { name: 1, soft: 2, hard: 3 } as const;
export const PROXY_ENV = {
  httpProxy: 1,
  httpsProxy: 2,
  ftpProxy: 3,
  noProxy: 4,
  allProxy: 5,
} as const;
export const MOUNT = {
  input: 1,
  selector: 2,
  dest: 3,
  output: 4,
  readonly: 5,
  mountType: 6,
  tmpfs: 19,
  cache: 20,
  secret: 21,
  ssh: 22,
  contentCache: 24,
} as const;
export const TMPFS_OPT = { size: 1 } as const;
export const CACHE_OPT = { id: 1, sharing: 2 } as const;
/** pb.SecretOpt and pb.SSHOpt, which have the same fields. */
export const OWNED_OPT = { id: 1, uid: 2, gid: 3, mode: 4, optional: 5 } as const;
export const FILE_OP = { actions: 2 } as const;
export const FILE_ACTION = {
  input: 1,
  secondaryInput: 2,
  output: 3,
  copy: 4,
  mkfile: 5,
  mkdir: 6,
  rm: 7,
  symlink: 8,
} as const;
export const FILE_ACTION_RM = { path: 1, allowNotFound: 2, allowWildcard: 3 } as const;
export const FILE_ACTION_SYMLINK = { oldpath: 1, newpath: 2, owner: 3, timestamp: 4 } as const;
export const FILE_ACTION_COPY = {
  src: 1,
  dest: 2,
  owner: 3,
  mode: 4,
  followSymlink: 5,
  dirCopyContents: 6,
  attemptUnpackDockerCompatibility: 7,
  createDestPath: 8,
  allowWildcard: 9,
  allowEmptyWildcard: 10,
  timestamp: 11,
  includePatterns: 12,
  excludePatterns: 13,
  alwaysReplaceExistingDestPaths: 14,
  modeStr: 15,
  requiredPaths: 16,
} as const;
export const FILE_ACTION_MKFILE = { path: 1, mode: 2, data: 3, owner: 4, timestamp: 5 } as const;
export const FILE_ACTION_MKDIR = {
  path: 1,
  mode: 2,
  makeParents: 3,
  owner: 4,
  timestamp: 5,
} as const;
export const CHOWN_OPT = { user: 1, group: 2 } as const;
export const USER_OPT = { byName: 1, byId: 2 } as const;
export const NAMED_USER_OPT = { name: 1, input: 2 } as const;
/** pb.MergeInput, pb.LowerDiffInput, pb.UpperDiffInput and pb.BuildInput. */
export const INDEX = { input: 1 } as const;
export const MERGE_OP = { inputs: 1 } as const;
export const DIFF_OP = { lower: 1, upper: 2 } as const;
export const BUILD_OP = { builder: 1, inputs: 2, def: 3, attrs: 4 } as const;
export const DEFINITION = { def: 1, metadata: 2, source: 3 } as const;
export const OP_METADATA = { ignoreCache: 1, description: 2, caps: 5, progressGroup: 6 } as const;
export const PROGRESS_GROUP = { id: 1, name: 2, weak: 3 } as const;
export const SOURCE = { locations: 1, infos: 2 } as const;
export const SOURCE_INFO = { filename: 1, data: 2, language: 4 } as const;
export const LOCATIONS = { locations: 1 } as const;
export const LOCATION = { sourceIndex: 1, ranges: 2 } as const;
export const RANGE = { start: 1, end: 2 } as const;
export const POSITION = { line: 1, character: 2 } as const;
/** An entry of a map field. */
export const MAP_ENTRY = { key: 1, value: 2 } as const;
