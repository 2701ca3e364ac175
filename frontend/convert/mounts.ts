import { KilnError } from '../../base/errors.ts';
import { cleanPath } from '../../base/gopath.ts';
import { didYouMean } from '../../base/suggest.ts';
import {
  type ExecMount,
  type ExecSecret,
  type ExecSsh,
  fileChanges,
} from '../../solver/llb/builder.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import { CACHE_SHARING } from '../../solver/llb/mount.ts';
import type { MountFlag, RunInstruction } from '../instructions.ts';
import { parseBool, parseUint32 } from './goformat.ts';
import { parseSize } from './parse-size.ts';
import { base, isAbsolute, join } from './paths.ts';
import { placed } from './placed.ts';
import type { StageNode } from './stage.ts';
import { noteMount } from './stage-outline.ts';
import type { Step } from './step.ts';
import { warnCacheOwners } from './surprises.ts';

export interface LoweredMounts {
  readonly mounts: readonly ExecMount[];
  readonly secrets: readonly ExecSecret[];
  readonly ssh: readonly ExecSsh[];
}

/** The `--mount` flags of a RUN, in order. */
export function lowerMounts(step: Step, { mounts: flags, range }: RunInstruction): LoweredMounts {
  const mounts: ExecMount[] = [];
  const secrets: ExecSecret[] = [];
  const ssh: ExecSsh[] = [];
  for (const [i, flag] of flags.entries()) {
    const mount = placed(flag.place, () => readMount(flag, step.expand));
    const { outline } = step.stage.node;
    if (mount.type === 'secret') {
      const secret = lowerSecret(mount);
      secrets.push(secret);
      noteMount(outline.secrets, secret.id, mount.required, range);
    } else if (mount.type === 'ssh') {
      ssh.push(lowerSsh(mount));
      noteMount(outline.ssh, mount.id || 'default', mount.required, range);
    } else mounts.push(placed(flag.place, () => lowerMount(step, mount, step.command.sources[i])));
    if (mount.type === 'cache')
      noteMount(outline.caches, mount.id || cleanPath(mount.target), mount.required, range);
  }
  return { mounts, secrets, ssh };
}

const TYPES = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'] as const;
const SHARING = ['shared', 'private', 'locked'] as const;
const KEYS = [
  'type',
  'from',
  'source',
  'src',
  'target',
  'dst',
  'destination',
  'readonly',
  'ro',
  'readwrite',
  'rw',
  'id',
  'sharing',
  'required',
  'mode',
  'uid',
  'gid',
  'size',
  'env',
];

interface MountSpec {
  readonly raw: string;
  type: (typeof TYPES)[number];
  from: string;
  source: string;
  target: string;
  readonly: boolean | undefined;
  id: string;
  sharing: (typeof SHARING)[number] | undefined;
  required: boolean;
  mode: number | undefined;
  uid: number | undefined;
  gid: number | undefined;
  size: number;
  env: string | undefined;
}

function mountError(spec: { readonly raw: string }, what: string, hint?: string): KilnError {
  return new KilnError('KILN_RUN_MOUNT', `--mount=${spec.raw}: ${what}`, { hint });
}

/** The types for which a field is allowed. The type must be given before the field. */
function goesWith(key: string): string {
  const types =
    { size: 'tmpfs', env: 'secret', sharing: 'cache', required: 'secret or ssh' }[key] ??
    'cache, secret or ssh';
  return `${key} is for type=${types}, which has to be named before it`;
}

/** Expands the values, checks them, and adds the defaults of the type. */
function readMount(flag: MountFlag, expand: (text: string) => string): MountSpec {
  const spec: MountSpec = {
    raw: flag.raw,
    type: 'bind',
    from: '',
    source: '',
    target: '',
    readonly: undefined,
    id: '',
    sharing: undefined,
    required: false,
    mode: undefined,
    uid: undefined,
    gid: undefined,
    size: 0,
    env: undefined,
  };
  for (const field of flag.fields) {
    const key = field.key.toLowerCase();
    setField(
      spec,
      key,
      field.value === undefined ? undefined : key === 'from' ? field.value : expand(field.value),
    );
  }
  checkMount(spec);
  return spec;
}

function setField(spec: MountSpec, key: string, value: string | undefined): void {
  const text = (): string => {
    if (value === undefined) throw mountError(spec, `${key} needs a value`, `write ${key}=…`);
    return value;
  };
  const truth = (): boolean => {
    const found = value === undefined ? true : parseBool(value);
    if (found === undefined)
      throw mountError(
        spec,
        `${key}=${value} is neither true nor false`,
        `write ${key} or ${key}=false`,
      );
    return found;
  };
  const number = (radix: 8 | 10): number => {
    const found = parseUint32(text(), radix);
    if (found === undefined) {
      const what = radix === 8 ? 'an octal number' : 'a number';
      throw mountError(
        spec,
        `${key}=${value} is not ${what}`,
        radix === 8 ? 'write mode=0755' : `write ${key}=1000: names are not known here`,
      );
    }
    return found;
  };
  switch (key) {
    case 'type':
      spec.type = oneOf(spec, 'mount type', text(), TYPES);
      return;
    case 'from':
      spec.from = text();
      return;
    case 'source':
    case 'src':
      spec.source = text();
      return;
    case 'target':
    case 'dst':
    case 'destination':
      spec.target = text();
      return;
    case 'readonly':
    case 'ro':
      spec.readonly = truth();
      return;
    case 'readwrite':
    case 'rw':
      spec.readonly = !truth();
      return;
    case 'id':
      spec.id = text();
      return;
    case 'sharing':
      spec.sharing = oneOf(spec, 'sharing', text(), SHARING);
      return;
    case 'required':
      if (spec.type !== 'secret' && spec.type !== 'ssh')
        throw mountError(spec, `required does not go with type ${spec.type}`, goesWith('required'));
      spec.required = truth();
      return;
    case 'mode':
      spec.mode = number(8);
      return;
    case 'uid':
    case 'gid':
      spec[key] = number(10);
      return;
    case 'size':
      if (spec.type !== 'tmpfs')
        throw mountError(spec, `size does not go with type ${spec.type}`, goesWith('size'));
      spec.size = sizeOf(spec, text());
      return;
    case 'env':
      spec.env = text();
      return;
    default:
      throw mountError(
        spec,
        `${key} is not known${didYouMean(key, KEYS)}`,
        `write one of ${KEYS.join(', ')}`,
      );
  }
}

function sizeOf(spec: MountSpec, text: string): number {
  const size = parseSize(text);
  if (size === undefined)
    throw mountError(
      spec,
      `size=${text} is not a size`,
      'write a number of bytes, or one with k, m or g',
    );
  return size;
}

function oneOf<T extends string>(
  spec: MountSpec,
  what: string,
  value: string,
  known: readonly T[],
): T {
  const found = known.find((choice) => choice === value.toLowerCase());
  if (found === undefined)
    throw mountError(
      spec,
      `${what} ${value} is not known${didYouMean(value, known)}`,
      `write one of ${known.join(', ')}`,
    );
  return found;
}

function checkMount(spec: MountSpec): void {
  const owned = spec.type === 'secret' || spec.type === 'ssh' || spec.type === 'cache';
  for (const key of ['mode', 'uid', 'gid'] as const) {
    if (!owned && spec[key] !== undefined)
      throw mountError(spec, `${key} does not go with type ${spec.type}`, goesWith(key));
  }
  if (spec.env !== undefined && spec.type !== 'secret')
    throw mountError(spec, `env does not go with type ${spec.type}`, goesWith('env'));
  if (spec.sharing && spec.type !== 'cache')
    throw mountError(spec, `sharing does not go with type ${spec.type}`, goesWith('sharing'));
  if (spec.type === 'ssh' && spec.source !== '')
    throw mountError(
      spec,
      'source does not go with type ssh',
      'name the key with id=…, and give it with --ssh',
    );
  if (spec.type !== 'secret') return;
  if (spec.from !== '')
    throw mountError(
      spec,
      'from does not go with type secret',
      'name the secret with id=…, and give it with --secret',
    );
  if (spec.source !== '' && spec.id !== '')
    throw mountError(
      spec,
      'source and id say the same thing; only one may be given',
      'leave out source',
    );
  if (spec.source === '' && spec.target === '' && spec.id === '')
    throw mountError(spec, 'it does not say which secret', 'add id=…');
}

function lowerSecret(spec: MountSpec): ExecSecret {
  const id = spec.source || spec.id || base(spec.target);
  const file = spec.target || (spec.env === undefined ? `/run/secrets/${base(id)}` : undefined);
  return {
    id,
    dest: file,
    env: spec.env,
    uid: spec.uid ?? 0,
    gid: spec.gid ?? 0,
    mode: spec.mode ?? 0o400,
    optional: !spec.required,
  };
}

function lowerSsh(spec: MountSpec): ExecSsh {
  const dest = spec.target || undefined;
  return {
    id: spec.id,
    dest,
    uid: spec.uid ?? 0,
    gid: spec.gid ?? 0,
    mode: spec.mode ?? 0o600,
    optional: !spec.required,
  };
}

function lowerMount(step: Step, spec: MountSpec, source: StageNode | undefined): ExecMount {
  const { stage } = step;
  const dest = isAbsolute(cleanPath(spec.target))
    ? spec.target
    : join('/', stage.state.dir, spec.target);
  if (dest === '/')
    throw mountError(
      spec,
      'it would cover the whole file system',
      'name the directory with target=…',
    );
  const selected = join('/', spec.source);
  if (spec.type === 'tmpfs') {
    return {
      type: 'tmpfs',
      dest,
      readonly: spec.readonly ?? false,
      size: spec.size,
      ...(selected !== '/' && { selector: selected }),
    };
  }
  const from = sourceTree(step, spec, source);
  const owned = spec.uid !== undefined || spec.gid !== undefined || spec.mode !== undefined;
  const makeDir = selected === '/' && owned;
  const common = {
    from: makeDir ? ownedDirectory(spec, from) : from,
    dest,
    ...(makeDir ? { selector: '/cache' } : selected !== '/' ? { selector: selected } : {}),
  };
  if (spec.type === 'bind') return { ...common, type: 'bind', readonly: spec.readonly ?? true };
  const namespace = step.conversion.request.buildArgs.get('BUILDKIT_CACHE_MOUNT_NS') ?? '';
  const name = spec.id || cleanPath(spec.target);
  const id = `${namespace}/${name}`;
  warnCacheOwners(step, name, spec);
  const sharing = CACHE_SHARING[spec.sharing ?? 'shared'];
  return { ...common, type: 'cache', readonly: spec.readonly ?? false, id, sharing };
}

/**
 * The mounted tree: the build context for a bind that names nothing else, an empty tree for such a
 * cache. Records the paths that are read.
 */
function sourceTree(
  { conversion }: Step,
  spec: MountSpec,
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
function ownedDirectory(spec: MountSpec, from: DraftEdge | undefined): DraftEdge {
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
