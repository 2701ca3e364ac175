import type { Platform } from '../../base/platform.ts';
import type { Draft, DraftEdge, SealedOp } from './draft.ts';
import { NET_MODE, type NetMode, SECURITY_MODE, type SecurityMode } from './enums.ts';
import type { ExecMeta, ExecOp, ProxyEnv } from './exec-op.ts';
import type {
  ChownOpt,
  FileAction,
  FileActionCopy,
  FileActionMkDir,
  FileActionMkFile,
  FileActionSymlink,
  UserOpt,
} from './file-op.ts';
import type { LlbEdge, OpMetadata, SourceRange } from './graph.ts';
import { MOUNT_CAPS, MOUNT_TYPE, type Mount, type MountTypeName } from './mount.ts';
import type { LlbOp } from './ops.ts';
import { compareUtf8 } from './wire.ts';

/**
 * Constructors for the vertices of a graph. They follow BuildKit's Go client (client/llb): the
 * fields that it sets, the order in which it lists inputs and mounts, and the capabilities that it
 * names. The edges they return are drafts; `seal` (draft.ts) makes vertices of them.
 */

/** What a vertex has besides its op. It is not part of the digest. */
export interface Note {
  /** The name that progress shows (`llb.customname`). */
  readonly name?: string;
  /** The instruction as written (`com.docker.dockerfile.v1.command`). */
  readonly command?: string;
  readonly ignoreCache?: boolean;
  readonly progressGroup?: NonNullable<OpMetadata['progressGroup']>;
  readonly locations?: readonly SourceRange[];
}

function metadata(note: Note, caps: Iterable<string | false | undefined>): OpMetadata {
  const named = [...caps].filter((cap): cap is string => typeof cap === 'string');
  return {
    ...(note.ignoreCache && { ignoreCache: true }),
    description: {
      ...(note.name !== undefined && { 'llb.customname': note.name }),
      ...(note.command !== undefined && { 'com.docker.dockerfile.v1.command': note.command }),
    },
    caps: [...new Set(named)].sort(),
    ...(note.progressGroup && { progressGroup: note.progressGroup }),
    locations: note.locations ?? [],
  };
}

function source(
  identifier: string,
  attrs: Record<string, string>,
  note: Note,
  caps: readonly (string | false)[],
  platform?: Platform,
): SealedOp {
  const op: LlbOp = {
    kind: 'source',
    source: { identifier, attrs },
    ...(platform && { platform }),
    constraints: {},
  };
  return { op, inputs: [], metadata: metadata(note, caps) };
}

function edge(draft: Draft, output = 0): DraftEdge {
  return { draft, output };
}

/**
 * An image of a registry. `ref` is its full name with tag, digest or both. `resolve: 'local'`
 * prefers an image that the store has; `'pull'` always queries the registry. Without `platform`,
 * the one that `seal` is called with.
 */
export function imageSource(
  ref: string,
  options: { platform?: Platform; resolve?: 'local' | 'pull' | undefined; note: Note },
): DraftEdge {
  const attrs = options.resolve ? { 'image.resolvemode': options.resolve } : {};
  const caps = ['source.image', options.resolve === 'pull' && 'source.image.resolvemode'];
  return edge({
    parents: [],
    make: ({ platform }) =>
      source(`docker-image://${ref}`, attrs, options.note, caps, options.platform ?? platform),
  });
}

/** The attributes of a local source, named as in BuildKit's client. */
export interface LocalOptions {
  readonly sessionId: string;
  readonly sharedKeyHint: string;
  readonly excludePatterns?: readonly string[];
  /** If not empty, only these paths are read, and the targets of their symlinks. */
  readonly followPaths?: readonly string[];
  /** Files are never taken to be the same as those of an earlier build. */
  readonly differ?: 'none';
}

/**
 * A directory of the caller. `options` is called when the graph is sealed: which paths are read of
 * the directory is not known earlier.
 */
export function localSource(name: string, options: () => LocalOptions, note: Note): DraftEdge {
  return edge({
    parents: [],
    make: () => {
      const {
        sessionId,
        sharedKeyHint,
        excludePatterns = [],
        followPaths = [],
        differ,
      } = options();
      const attrs = {
        'local.session': sessionId,
        ...(followPaths.length > 0 && { 'local.followpaths': goJson(followPaths) }),
        ...(excludePatterns.length > 0 && { 'local.excludepatterns': goJson(excludePatterns) }),
        'local.sharedkeyhint': sharedKeyHint,
        ...(differ && { 'local.differ': differ }),
      };
      const caps = [
        'source.local',
        'source.local.sessionid',
        followPaths.length > 0 && 'source.local.followpaths',
        excludePatterns.length > 0 && 'source.local.excludepatterns',
        'source.local.sharedkeyhint',
        differ !== undefined && 'source.local.differ',
      ];
      return source(`local://${name}`, attrs, note, caps);
    },
  });
}

/**
 * JSON as Go's encoding/json writes it, which escapes `<`, `>`, `&` and the two Unicode line
 * separators.
 */
function goJson(value: readonly string[]): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The attributes of a git source, named as in BuildKit's client. */
export interface GitOptions {
  /** Host and path, such as `github.com/moby/buildkit.git`. The protocol is not part of it. */
  readonly id: string;
  /** The URL that git fetches from. */
  readonly url: string;
  readonly ref?: string;
  readonly subdir?: string;
  readonly keepGitDir?: boolean;
  readonly checksum?: string;
  readonly skipSubmodules?: boolean;
  /** The commit is fetched by its id, which is `checksum` or `ref`. */
  readonly fetchByCommit?: boolean;
  /** What time files have, for a BuildKit: that of the commit or of the checkout. */
  readonly mtime?: 'commit' | 'checkout' | undefined;
  /**
   * For a URL by ssh: the id of the agent, and the known hosts if the keys of the host were
   * scanned.
   */
  readonly ssh?: { readonly agent: string; readonly knownHosts?: string };
}

/** A git repository, at `ref` (the default branch if not given). */
export function gitSource(git: GitOptions, note: Note): DraftEdge {
  const fragment =
    git.ref || git.subdir ? `#${git.ref ?? ''}${git.subdir ? `:${git.subdir}` : ''}` : '';
  const attrs = {
    'git.fullurl': git.url,
    // The names of the secrets that are tried for the host, not their values.
    'git.authtokensecret': 'GIT_AUTH_TOKEN',
    'git.authheadersecret': 'GIT_AUTH_HEADER',
    ...(git.keepGitDir && { 'git.keepgitdir': 'true' }),
    ...(git.checksum && { 'git.checksum': git.checksum }),
    ...(git.skipSubmodules && { 'git.skipsubmodules': 'true' }),
    ...(git.mtime === 'commit' && { 'git.mtime': git.mtime }),
    ...(git.fetchByCommit && { 'git.fetchbycommit': 'true' }),
    ...(git.ssh && { 'git.mountsshsock': git.ssh.agent }),
    ...(git.ssh?.knownHosts && { 'git.knownsshhosts': git.ssh.knownHosts }),
  };
  const caps = [
    'source.git',
    'source.git.fullurl',
    git.keepGitDir === true && 'source.git.keepgitdir',
    Boolean(git.checksum) && 'source.git.checksum',
    git.skipSubmodules === true && 'source.git.skipsubmodules',
    git.mtime === 'commit' && 'source.git.mtime',
    git.fetchByCommit === true && 'source.git.fetchbycommit',
    git.ssh !== undefined && 'source.git.knownsshhosts',
    git.ssh !== undefined && 'source.git.mountsshsock',
  ].filter((cap): cap is string => typeof cap === 'string');
  return edge({ parents: [], make: () => source(`git://${git.id}${fragment}`, attrs, note, caps) });
}

/** A file by http or https, which gets the name `filename`. */
export function httpSource(
  url: string,
  options: { filename: string; checksum?: string | undefined; note: Note },
): DraftEdge {
  const attrs = {
    'http.filename': options.filename,
    ...(options.checksum && { 'http.checksum': options.checksum }),
  };
  const caps = ['source.http', options.checksum !== undefined && 'source.http.checksum'];
  return edge({ parents: [], make: () => source(url, attrs, options.note, caps) });
}

/**
 * An image in an OCI layout of the caller. `ref` is a name with a digest, `store` the name of the
 * layout in the session.
 */
export function ociLayoutSource(
  ref: string,
  options: { platform?: Platform; sessionId: string; store: string; note: Note },
): DraftEdge {
  const attrs = { 'oci.session': options.sessionId, 'oci.store': options.store };
  return edge({
    parents: [],
    make: ({ platform }) =>
      source(
        `oci-layout://${ref}`,
        attrs,
        options.note,
        ['source.ocilayout'],
        options.platform ?? platform,
      ),
  });
}

/**
 * A mount of an exec other than its root file system. Without `from` it starts empty. The socket of
 * an ssh agent is at `/run/buildkit/ssh_agent.N` when its `dest` is empty.
 */
export interface ExecMount extends Omit<Mount, 'input' | 'output' | 'mountType' | 'contentCache'> {
  readonly type: MountTypeName;
  readonly from?: DraftEdge | undefined;
}

/** A process. Without `root` it starts on an empty tree. */
export interface ExecSpec {
  readonly root: DraftEdge | undefined;
  readonly platform?: Platform | undefined;
  readonly args: readonly string[];
  /** Names and values in order, each name once. */
  readonly env: Iterable<readonly [string, string]>;
  readonly cwd: string;
  readonly user?: string | undefined;
  readonly proxyEnv?: ProxyEnv | undefined;
  readonly extraHosts?: ExecMeta['extraHosts'];
  readonly hostname?: string | undefined;
  readonly ulimits?: ExecMeta['ulimit'];
  readonly cgroupParent?: string;
  readonly mounts: readonly ExecMount[];
  readonly secretEnv: NonNullable<ExecOp['secretenv']>;
  readonly network: NetMode;
  readonly security: SecurityMode;
  readonly devices?: ExecDevices;
  /** Where the mount is whose tree is the result. Undefined for the root file system. */
  readonly result?: string;
  readonly note: Note;
}

type ExecDevices = NonNullable<ExecOp['cdiDevices']>;

/** Runs a process. The returned edge is the root file system after it, or the mount `result`. */
export function exec(spec: ExecSpec): DraftEdge {
  const trees = spec.mounts.filter(({ type }) => !isLent(type));
  const root: ExecMount = { type: 'bind', from: spec.root, dest: '/' };
  const mounts = [root, ...trees].sort((a, b) => compareUtf8(a.dest, b.dest));
  const lent = lentMounts(spec.mounts);
  // The root is output 0, and the mount that is the result is 1. What is written to other mounts is
  // discarded.
  const outputOf = (mount: ExecMount) => {
    if (mount === root) return 0;
    return mount.dest === spec.result ? 1 : -1;
  };
  const made: Draft = {
    parents: mounts.flatMap(({ from }) => from ?? []),
    make: ({ platform, seal }) => {
      const inputs = new Inputs();
      const lowered = mounts.map((mount) =>
        lowerMount(mount, mount.from ? inputs.add(seal(mount.from)) : -1, outputOf(mount)),
      );
      const op: ExecOp = {
        meta: lowerMeta(spec, lent.find(({ type }) => type === 'ssh')?.dest),
        mounts: [...lowered, ...lent.map((mount) => lowerMount(mount, -1, 0))],
        network: spec.network,
        security: spec.security,
        ...(spec.secretEnv.length > 0 && { secretenv: spec.secretEnv }),
        ...(spec.devices && spec.devices.length > 0 && { cdiDevices: spec.devices }),
      };
      return {
        op: { kind: 'exec', exec: op, platform: spec.platform ?? platform, constraints: {} },
        inputs: inputs.list,
        metadata: metadata(spec.note, execCaps(spec, [...mounts, ...lent])),
      };
    },
  };
  return edge(made, spec.result === undefined ? 0 : 1);
}

/** What the caller of the build lends comes after all other mounts: secrets, then sockets. */
function lentMounts(mounts: readonly ExecMount[]): readonly ExecMount[] {
  const sockets = mounts.filter(({ type }) => type === 'ssh');
  return [
    ...mounts.filter(({ type }) => type === 'secret'),
    ...sockets.map((socket, i) => ({
      ...socket,
      dest: socket.dest || `/run/buildkit/ssh_agent.${i}`,
    })),
  ];
}

function isLent(type: MountTypeName): boolean {
  return type === 'secret' || type === 'ssh';
}

function lowerMount({ type, from: _, ...mount }: ExecMount, input: number, output: number): Mount {
  return { ...mount, input, output, ...(type !== 'bind' && { mountType: MOUNT_TYPE[type] }) };
}

/** The inputs of a vertex, each once. */
class Inputs {
  readonly list: LlbEdge[] = [];

  /** The index of `input` in the list. It is added if it is not there. */
  add(input: LlbEdge): number {
    const index = this.list.findIndex(
      (other) => other.vertex === input.vertex && other.output === input.output,
    );
    return index >= 0 ? index : this.list.push(input) - 1;
  }
}

function lowerMeta(spec: ExecSpec, sshSocket: string | undefined): ExecMeta {
  const env = new Map(spec.env);
  if (sshSocket !== undefined && !env.has('SSH_AUTH_SOCK')) env.set('SSH_AUTH_SOCK', sshSocket);
  return {
    args: spec.args,
    env: [...env].map(([key, value]) => `${key}=${value}`),
    cwd: spec.cwd,
    ...(spec.user && { user: spec.user }),
    ...(spec.proxyEnv && { proxyEnv: spec.proxyEnv }),
    ...(spec.extraHosts && spec.extraHosts.length > 0 && { extraHosts: spec.extraHosts }),
    ...(spec.hostname && { hostname: spec.hostname }),
    ...(spec.ulimits && spec.ulimits.length > 0 && { ulimit: spec.ulimits }),
    ...(spec.cgroupParent && { cgroupParent: spec.cgroupParent }),
    removeMountStubsRecursive: true,
  };
}

function* execCaps(spec: ExecSpec, mounts: readonly ExecMount[]): Generator<string> {
  yield 'exec.meta.base';
  yield 'exec.meta.setsdefaultpath';
  if (spec.ulimits && spec.ulimits.length > 0) yield 'exec.meta.ulimit';
  if (spec.network !== NET_MODE.default) yield 'exec.meta.network';
  if (spec.security !== SECURITY_MODE.sandbox) yield 'exec.meta.security';
  if (spec.proxyEnv) yield 'exec.meta.proxyenv';
  if (spec.devices && spec.devices.length > 0) yield 'exec.meta.cdi';
  for (const mount of mounts) {
    if (mount.selector) yield 'exec.mount.selector';
    if (mount.type !== 'bind' || mount.from) yield* MOUNT_CAPS[mount.type](mount);
  }
  if (spec.secretEnv.length > 0) yield* ['exec.mount.secret', 'exec.secretenv'];
}

/** The owner of a file. A name is looked up in the tree that the op changes. */
export interface Owner {
  readonly user?: OwnerId;
  readonly group?: OwnerId;
}
export type OwnerId = { readonly name: string } | { readonly id: number };

/** One action of a file op. It changes the result of the action before it. */
export type FileChange =
  | {
      readonly kind: 'copy';
      readonly from: DraftEdge | undefined;
      readonly copy: Omit<FileActionCopy, 'owner'>;
      readonly owner?: Owner | undefined;
    }
  | {
      readonly kind: 'mkfile';
      readonly mkfile: Omit<FileActionMkFile, 'owner'>;
      readonly owner?: Owner | undefined;
    }
  | {
      readonly kind: 'mkdir';
      readonly mkdir: Omit<FileActionMkDir, 'owner'>;
      readonly owner?: Owner | undefined;
    }
  | {
      readonly kind: 'rm';
      readonly rm: {
        readonly path: string;
        readonly allowNotFound: boolean;
        readonly allowWildcard: boolean;
      };
    }
  | {
      readonly kind: 'symlink';
      readonly symlink: Omit<FileActionSymlink, 'owner'>;
      readonly owner?: Owner | undefined;
    };

/**
 * Changes the tree `base` (empty if undefined) by `steps` in order. The returned edge is the result
 * of the last one.
 */
export function fileChanges(
  base: DraftEdge | undefined,
  steps: readonly FileChange[],
  note: Note,
): DraftEdge {
  const sources = steps.map((step) => (step.kind === 'copy' ? step.from : undefined));
  return edge({
    parents: [base, ...sources.toReversed()].filter((from) => from !== undefined),
    make: ({ seal }) => {
      const inputs = new Inputs();
      const baseIndex = base ? inputs.add(seal(base)) : -1;
      const secondary = sources.map((from) => (from ? inputs.add(seal(from)) : -1));
      const actions = steps.map((step, i) => ({
        input: i === 0 ? baseIndex : inputs.list.length + i - 1,
        secondaryInput: secondary[i] ?? -1,
        output: i === steps.length - 1 ? 0 : -1,
        action: lowerStep(step, baseIndex),
      }));
      return {
        op: { kind: 'file', file: { actions }, constraints: {} },
        inputs: inputs.list,
        metadata: metadata(note, ['file.base']),
      };
    },
  });
}

function lowerStep(step: FileChange, base: number): FileAction['action'] {
  switch (step.kind) {
    case 'copy':
      return { kind: 'copy', copy: { ...step.copy, ...lowerOwner(step.owner, base) } };
    case 'mkfile':
      return { kind: 'mkfile', mkfile: { ...step.mkfile, ...lowerOwner(step.owner, base) } };
    case 'mkdir':
      return { kind: 'mkdir', mkdir: { ...step.mkdir, ...lowerOwner(step.owner, base) } };
    case 'rm':
      return { kind: 'rm', rm: step.rm };
    case 'symlink':
      return { kind: 'symlink', symlink: { ...step.symlink, ...lowerOwner(step.owner, base) } };
    default:
      return step satisfies never;
  }
}

function lowerOwner(owner: Owner | undefined, base: number): { owner?: ChownOpt } {
  if (!owner) return {};
  const lower = (id: OwnerId): UserOpt =>
    'name' in id ? { by: 'name', name: id.name, input: base } : { by: 'id', id: id.id };
  return {
    owner: {
      ...(owner.user && { user: lower(owner.user) }),
      ...(owner.group && { group: lower(owner.group) }),
    },
  };
}

/**
 * Stacks the trees, the last one on top. Undefined (empty) trees are left out. If fewer than two
 * remain, no op is needed and the remaining one is returned.
 */
export function merge(
  trees: readonly (DraftEdge | undefined)[],
  note: Note,
): DraftEdge | undefined {
  const parents = trees.filter((tree) => tree !== undefined);
  if (parents.length < 2) return parents[0];
  return edge({
    parents,
    make: ({ seal }) => ({
      op: {
        kind: 'merge',
        merge: { inputs: parents.map((_, input) => ({ input })) },
        constraints: {},
      },
      inputs: parents.map(seal),
      metadata: metadata(note, ['mergeop']),
    }),
  });
}

/** The changes that lead from `lower` to `upper`. */
export function diff(
  lower: DraftEdge | undefined,
  upper: DraftEdge | undefined,
  note: Note,
): DraftEdge | undefined {
  if (!lower) return upper;
  return edge({
    parents: [lower, upper].filter((from) => from !== undefined),
    make: ({ seal }) => {
      const list = [lower, upper].map((from) => from && seal(from));
      const inputs = list.filter((input) => input !== undefined);
      const index = (input: LlbEdge | undefined): { input: number } => ({
        input: input ? inputs.indexOf(input) : -1,
      });
      return {
        op: {
          kind: 'diff',
          diff: { lower: index(list[0]), upper: index(list[1]) },
          constraints: {},
        },
        inputs,
        metadata: metadata(note, ['diffop']),
      };
    },
  });
}
