import { cleanPath } from '../../base/gopath.ts';
import { type ExecMount, fileChanges } from '../../solver/llb/builder.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { ExecOp } from '../../solver/llb/exec-op.ts';
import { CACHE_SHARING, type LentOptions, type MountTypeName } from '../../solver/llb/mount.ts';
import { mountError, type ParsedMount, type SpecialFields } from './parsed-mount.ts';
import { base, isAbsolute, join } from './paths.ts';
import type { StageNode } from './stage.ts';
import type { StageOutline } from './stage-outline.ts';
import type { Step } from './step.ts';
import { warnCacheOwners } from './surprises.ts';

/** What a flag becomes: a mount, a variable with a secret, or both. */
interface LoweredMount {
  readonly mount?: ExecMount | undefined;
  readonly variable?: NonNullable<ExecOp['secretenv']>[number] | undefined;
}

interface MountType {
  /** The fields that only some types take, as far as this type takes them. */
  readonly takes: readonly (keyof SpecialFields)[];
  /** Throws KILN_RUN_MOUNT for fields that contradict each other. */
  readonly check?: (spec: ParsedMount) => void;
  /** `source` is the stage that `from` names. */
  readonly lower: (spec: ParsedMount, step: Step, source: StageNode | undefined) => LoweredMount;
  /** The list of `--call=outline` that tells of it, and the name there. */
  readonly outline?: {
    readonly list: keyof Pick<StageOutline, 'secrets' | 'ssh' | 'caches'>;
    readonly id: (spec: ParsedMount) => string;
  };
}

/** Every `type=` of `--mount`, in the order of messages. */
export const MOUNT_TYPES: { readonly [type in MountTypeName]: MountType } = {
  bind: {
    takes: [],
    lower: (spec, step, source) => ({
      mount: {
        type: 'bind',
        dest: destOf(spec, step),
        ...treeOf(spec, step, source),
        ...((spec.readonly ?? true) && { readonly: true }),
      },
    }),
  },
  cache: {
    takes: ['sharing', 'mode', 'uid', 'gid'],
    lower: (spec, step, source) => {
      const dest = destOf(spec, step);
      const tree = treeOf(spec, step, source);
      const namespace = step.conversion.request.buildArgs.get('BUILDKIT_CACHE_MOUNT_NS') ?? '';
      warnCacheOwners(step, cacheId(spec), spec);
      const sharing = CACHE_SHARING[spec.sharing ?? 'shared'];
      const cache = { id: `${namespace}/${cacheId(spec)}`, sharing };
      return {
        mount: { type: 'cache', dest, ...tree, ...(spec.readonly && { readonly: true }), cache },
      };
    },
    outline: { list: 'caches', id: cacheId },
  },
  tmpfs: {
    takes: ['size'],
    lower: (spec, step) => ({
      mount: {
        type: 'tmpfs',
        dest: destOf(spec, step),
        ...selectorOf(spec),
        ...(spec.readonly && { readonly: true }),
        tmpfs: { size: spec.size ?? 0 },
      },
    }),
  },
  secret: {
    takes: ['required', 'mode', 'uid', 'gid', 'env'],
    check: checkSecret,
    lower: lowerSecret,
    outline: { list: 'secrets', id: secretId },
  },
  ssh: {
    takes: ['required', 'mode', 'uid', 'gid'],
    check: (spec) => {
      if (spec.source === '') return;
      throw mountError(
        spec,
        'source does not go with type ssh',
        'name the key with id=…, and give it with --ssh',
      );
    },
    lower: (spec) => ({
      mount: { type: 'ssh', dest: spec.target, ssh: lentOptions(spec, spec.id, 0o600) },
    }),
    outline: { list: 'ssh', id: ({ id }) => id || 'default' },
  },
};

/** The directory of a mount. A relative one is below the working directory. */
function destOf(spec: ParsedMount, { stage }: Step): string {
  const dest = isAbsolute(cleanPath(spec.target))
    ? spec.target
    : join('/', stage.state.dir, spec.target);
  if (dest !== '/') return dest;
  throw mountError(
    spec,
    'it would cover the whole file system',
    'name the directory with target=…',
  );
}

/** The tree that is mounted, and the path in it. */
function treeOf(
  spec: ParsedMount,
  step: Step,
  source: StageNode | undefined,
): Pick<ExecMount, 'from' | 'selector'> {
  const from = sourceTree(step, spec, source);
  const selector = selectorOf(spec);
  const owned = spec.uid !== undefined || spec.gid !== undefined || spec.mode !== undefined;
  return owned && !selector.selector
    ? { from: ownedDirectory(spec, from), selector: '/cache' }
    : { from, ...selector };
}

function selectorOf(spec: ParsedMount): { readonly selector?: string } {
  const selector = join('/', spec.source);
  return selector === '/' ? {} : { selector };
}

/**
 * The mounted tree: the build context for a bind that names nothing else, an empty tree for such a
 * cache. Records the paths that are read.
 */
function sourceTree(
  { conversion }: Step,
  spec: ParsedMount,
  source: StageNode | undefined,
): DraftEdge | undefined {
  const path = join('/', spec.source);
  if (spec.from === '' && spec.type === 'bind') {
    conversion.contextPaths.add(path);
    return conversion.context;
  }
  if (spec.from === '' || !source) return undefined;
  if (source.life.kind !== 'lowered') {
    throw mountError(
      spec,
      `stage ${spec.from} comes after this instruction`,
      'move the stage that is mounted from above this one',
    );
  }
  source.life.work.paths.add(path);
  return source.life.work.state.tree;
}

/** A cache with an owner or mode starts from a directory that is made with them. */
function ownedDirectory(spec: ParsedMount, from: DraftEdge | undefined): DraftEdge {
  const mkdir = {
    path: '/cache',
    mode: (spec.mode ?? 0o755) & 0o777,
    makeParents: false,
    timestamp: -1,
  };
  const owner = { user: { id: spec.uid ?? 0 }, group: { id: spec.gid ?? 0 } };
  return fileChanges(from, [{ kind: 'mkdir', mkdir, owner }], {
    name: '[internal] setting cache mount permissions',
  });
}

function cacheId(spec: ParsedMount): string {
  return spec.id || cleanPath(spec.target);
}

function checkSecret(spec: ParsedMount): void {
  if (spec.from !== '')
    throw mountError(
      spec,
      'from does not go with type secret',
      'name the secret with id=…, and give it with --secret',
    );
  if (spec.source !== '' && spec.id !== '')
    throw mountError(spec, 'source and id mean the same; give only one', 'leave out source');
  if (spec.source === '' && spec.target === '' && spec.id === '')
    throw mountError(spec, 'it does not say which secret', 'add id=…');
}

function secretId(spec: ParsedMount): string {
  return spec.source || spec.id || base(spec.target);
}

/** A file, a variable, or both when a secret has a target and an `env`. */
function lowerSecret(spec: ParsedMount): LoweredMount {
  const id = secretId(spec);
  const { env } = spec;
  const dest = spec.target || (env === undefined ? `/run/secrets/${base(id)}` : undefined);
  return {
    mount:
      dest === undefined
        ? undefined
        : { type: 'secret', dest, secret: lentOptions(spec, id, 0o400) },
    variable: env === undefined ? undefined : { id, name: env, optional: !spec.required },
  };
}

function lentOptions(spec: ParsedMount, id: string, mode: number): LentOptions {
  return {
    id,
    uid: spec.uid ?? 0,
    gid: spec.gid ?? 0,
    mode: spec.mode ?? mode,
    optional: !spec.required,
  };
}
