import { isDigest } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import { CACHE_SHARING, CONTENT_CACHE, MOUNT_TYPE, NET_MODE, SECURITY_MODE } from './enums.ts';
import type { OpInput } from './marshal.ts';
import type * as ops from './ops.ts';
import * as fields from './proto-fields.ts';
import {
  asBigInt,
  asBool,
  asBytes,
  asInt,
  asText,
  malformedGraph,
  readFields,
  type WireField,
} from './wire.ts';

/**
 * An op as read from bytes. `op` is undefined for the last entry of a definition, which only names
 * the result.
 */
export interface ReadOp {
  readonly op: ops.LlbOp | undefined;
  readonly inputs: readonly OpInput[];
}

/**
 * Reads pb.Op. Unknown fields are skipped, as protobuf requires. Throws KILN_LLB_MALFORMED for
 * bytes that are not an op. Indexes are not checked here but in `parse.ts`.
 */
export function unmarshalOp(bytes: Uint8Array): ReadOp {
  const inputs: OpInput[] = [];
  let kind: KindOnly | undefined;
  let platform: Platform | undefined;
  let constraints: ops.WorkerConstraints | undefined;
  for (const field of readFields(bytes)) {
    if (field.number === fields.OP.inputs) inputs.push(readInput(asBytes(field)));
    else if (field.number === fields.OP.platform) platform = readPlatform(asBytes(field));
    else if (field.number === fields.OP.constraints) constraints = readConstraints(asBytes(field));
    else kind = readKind(field) ?? kind;
  }
  const op = kind && {
    ...kind,
    ...(platform && { platform }),
    ...(constraints && { constraints }),
  };
  return { op, inputs };
}

type KindOnly = ops.LlbOp extends infer O
  ? O extends ops.LlbOp
    ? Omit<O, 'platform' | 'constraints'>
    : never
  : never;

function readKind(field: WireField): KindOnly | undefined {
  switch (field.number) {
    case fields.OP.exec:
      return { kind: 'exec', exec: readExec(asBytes(field)) };
    case fields.OP.source:
      return { kind: 'source', source: readSource(asBytes(field)) };
    case fields.OP.file:
      return {
        kind: 'file',
        file: { actions: readAll(asBytes(field), fields.FILE_OP.actions, readAction) },
      };
    case fields.OP.build:
      return { kind: 'build', build: readBuild(asBytes(field)) };
    case fields.OP.merge:
      return {
        kind: 'merge',
        merge: { inputs: readAll(asBytes(field), fields.MERGE_OP.inputs, readIndex) },
      };
    case fields.OP.diff:
      return { kind: 'diff', diff: readDiff(asBytes(field)) };
    default:
      return undefined;
  }
}

/** Reads a message. `one` returns the last value of a field, `all` all of them, by field number. */
function collect(bytes: Uint8Array): {
  one: (n: number) => WireField | undefined;
  all: (n: number) => readonly WireField[];
} {
  const fields = new Map<number, WireField[]>();
  for (const field of readFields(bytes)) {
    const list = fields.get(field.number);
    if (list) list.push(field);
    else fields.set(field.number, [field]);
  }
  const all = (n: number): readonly WireField[] => fields.get(n) ?? [];
  return { all, one: (n) => all(n).at(-1) };
}

function readAll<T>(bytes: Uint8Array, number: number, read: (bytes: Uint8Array) => T): T[] {
  return collect(bytes)
    .all(number)
    .map((field) => read(asBytes(field)));
}

const text = (field: WireField | undefined): string => (field ? asText(field) : '');
const int = (field: WireField | undefined): number => (field ? asInt(field) : 0);
const bool = (field: WireField | undefined): boolean => (field ? asBool(field) : false);
const texts = (fields: readonly WireField[]): string[] => fields.map(asText);

/** A time in nanoseconds: a bigint if a number cannot hold it exactly. */
function time(field: WireField | undefined): number | bigint {
  if (!field) return 0;
  const value = asBigInt(field);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER)
    ? Number(value)
    : value;
}

/** The number of an enum field. Throws KILN_LLB_MALFORMED if the enum does not have it. */
function choice<T extends number>(
  field: WireField | undefined,
  numbers: Readonly<Record<string, T>>,
): T {
  const value = int(field);
  const known = Object.values(numbers).find((number) => number === value);
  if (known === undefined) throw malformedGraph(`${value} is not a known value of its enum`);
  return known;
}

export function readTextMap(fields: readonly WireField[]): Record<string, string> {
  return readMap(fields, (field) => text(field));
}

/**
 * Reads the entries of a map field. `read` gets the value of each; undefined means its zero value.
 */
export function readMap<T>(
  entries: readonly WireField[],
  read: (value: WireField | undefined) => T,
): Record<string, T> {
  return Object.fromEntries(
    entries.map((field) => {
      const entry = collect(asBytes(field));
      return [text(entry.one(fields.MAP_ENTRY.key)), read(entry.one(fields.MAP_ENTRY.value))];
    }),
  );
}

function readInput(bytes: Uint8Array): OpInput {
  const { one } = collect(bytes);
  const digest = text(one(fields.INPUT.digest));
  if (!isDigest(digest))
    throw malformedGraph(`${JSON.stringify(digest.slice(0, 80))} is not a digest`);
  return { digest, index: int(one(fields.INPUT.index)) };
}

function readPlatform(bytes: Uint8Array): Platform {
  const { one, all } = collect(bytes);
  const variant = text(one(fields.PLATFORM.variant));
  const osVersion = text(one(fields.PLATFORM.osVersion));
  const osFeatures = texts(all(fields.PLATFORM.osFeatures));
  return {
    architecture: text(one(fields.PLATFORM.architecture)),
    os: text(one(fields.PLATFORM.os)),
    ...(variant && { variant }),
    ...(osVersion && { osVersion }),
    ...(osFeatures.length > 0 && { osFeatures }),
  };
}

function readConstraints(bytes: Uint8Array): ops.WorkerConstraints {
  const filter = texts(collect(bytes).all(fields.WORKER_CONSTRAINTS.filter));
  return filter.length > 0 ? { filter } : {};
}

function readSource(bytes: Uint8Array): ops.SourceOp {
  const { one, all } = collect(bytes);
  return {
    identifier: text(one(fields.SOURCE_OP.identifier)),
    attrs: readTextMap(all(fields.SOURCE_OP.attrs)),
  };
}

function readExec(bytes: Uint8Array): ops.ExecOp {
  const { one, all } = collect(bytes);
  const meta = one(fields.EXEC_OP.meta);
  const secretenv = all(fields.EXEC_OP.secretenv).map((field) => {
    const inner = collect(asBytes(field));
    return {
      id: text(inner.one(fields.SECRET_ENV.id)),
      name: text(inner.one(fields.SECRET_ENV.name)),
      optional: bool(inner.one(fields.SECRET_ENV.optional)),
    };
  });
  const cdiDevices = all(fields.EXEC_OP.cdiDevices).map((field) => {
    const inner = collect(asBytes(field));
    return {
      name: text(inner.one(fields.CDI_DEVICE.name)),
      optional: bool(inner.one(fields.CDI_DEVICE.optional)),
    };
  });
  return {
    meta: readMeta(meta ? asBytes(meta) : new Uint8Array()),
    mounts: all(fields.EXEC_OP.mounts).map((field) => readMount(asBytes(field))),
    network: choice(one(fields.EXEC_OP.network), NET_MODE),
    security: choice(one(fields.EXEC_OP.security), SECURITY_MODE),
    ...(secretenv.length > 0 && { secretenv }),
    ...(cdiDevices.length > 0 && { cdiDevices }),
  };
}

function readMeta(bytes: Uint8Array): ops.ExecMeta {
  const { one, all } = collect(bytes);
  const proxy = one(fields.META.proxyEnv);
  const user = text(one(fields.META.user));
  const extraHosts = all(fields.META.extraHosts).map((field) => {
    const inner = collect(asBytes(field));
    return { host: text(inner.one(fields.HOST_IP.host)), ip: text(inner.one(fields.HOST_IP.ip)) };
  });
  const hostname = text(one(fields.META.hostname));
  const ulimit = all(fields.META.ulimit).map((field) => {
    const inner = collect(asBytes(field));
    return {
      name: text(inner.one(fields.ULIMIT.name)),
      soft: int(inner.one(fields.ULIMIT.soft)),
      hard: int(inner.one(fields.ULIMIT.hard)),
    };
  });
  const cgroupParent = text(one(fields.META.cgroupParent));
  const validExitCodes = all(fields.META.validExitCodes).flatMap(readPackedInts);
  return {
    args: texts(all(fields.META.args)),
    env: texts(all(fields.META.env)),
    cwd: text(one(fields.META.cwd)),
    ...(user && { user }),
    ...(proxy && { proxyEnv: readProxy(asBytes(proxy)) }),
    ...(extraHosts.length > 0 && { extraHosts }),
    ...(hostname && { hostname }),
    ...(ulimit.length > 0 && { ulimit }),
    ...(cgroupParent && { cgroupParent }),
    ...(bool(one(fields.META.removeMountStubsRecursive)) && { removeMountStubsRecursive: true }),
    ...(validExitCodes.length > 0 && { validExitCodes }),
  };
}

/** Reads a repeated integer field, which is either packed or has one value per field. */
function readPackedInts(field: WireField): number[] {
  if (field.bytes === undefined) return [asInt(field)];
  const values: number[] = [];
  let value = 0n;
  let shift = 0n;
  for (const byte of field.bytes) {
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if (shift > 70n) throw malformedGraph('a number is longer than ten bytes');
    if (byte >= 0x80) continue;
    values.push(Number(BigInt.asIntN(32, value)));
    value = 0n;
    shift = 0n;
  }
  if (shift !== 0n) throw malformedGraph('a number is cut off');
  return values;
}

/** The field numbers of pb.ProxyEnv in ascending order. */
const PROXIES = Object.values(fields.PROXY_ENV);

function readProxy(bytes: Uint8Array): ops.ProxyEnv {
  const { one } = collect(bytes);
  const [httpProxy, httpsProxy, ftpProxy, noProxy, allProxy] = PROXIES.map((n) => text(one(n)));
  return {
    ...(httpProxy && { httpProxy }),
    ...(httpsProxy && { httpsProxy }),
    ...(ftpProxy && { ftpProxy }),
    ...(noProxy && { noProxy }),
    ...(allProxy && { allProxy }),
  };
}

const OPTIONS = [fields.MOUNT.tmpfs, fields.MOUNT.cache, fields.MOUNT.secret, fields.MOUNT.ssh];

function readMount(bytes: Uint8Array): ops.Mount {
  const { one } = collect(bytes);
  const selector = text(one(fields.MOUNT.selector));
  const mountType = choice(one(fields.MOUNT.mountType), MOUNT_TYPE);
  const contentCache = choice(one(fields.MOUNT.contentCache), CONTENT_CACHE);
  const [tmpfs, cache, secret, ssh] = OPTIONS.map((n) => {
    const field = one(n);
    return field && collect(asBytes(field));
  });
  return {
    input: int(one(fields.MOUNT.input)),
    dest: text(one(fields.MOUNT.dest)),
    output: int(one(fields.MOUNT.output)),
    ...(selector && { selector }),
    ...(bool(one(fields.MOUNT.readonly)) && { readonly: true }),
    ...(mountType && { mountType }),
    ...(tmpfs && { tmpfs: { size: int(tmpfs.one(fields.TMPFS_OPT.size)) } }),
    ...(cache && {
      cache: {
        id: text(cache.one(fields.CACHE_OPT.id)),
        sharing: choice(cache.one(fields.CACHE_OPT.sharing), CACHE_SHARING),
      },
    }),
    ...(secret && { secret: readOwned(secret.one) }),
    ...(ssh && { ssh: readOwned(ssh.one) }),
    ...(contentCache && { contentCache }),
  };
}

function readOwned(one: (n: number) => WireField | undefined): NonNullable<ops.Mount['secret']> {
  return {
    id: text(one(fields.OWNED_OPT.id)),
    uid: int(one(fields.OWNED_OPT.uid)),
    gid: int(one(fields.OWNED_OPT.gid)),
    mode: int(one(fields.OWNED_OPT.mode)),
    optional: bool(one(fields.OWNED_OPT.optional)),
  };
}

function readAction(bytes: Uint8Array): ops.FileAction {
  const { one } = collect(bytes);
  return {
    input: int(one(fields.FILE_ACTION.input)),
    secondaryInput: int(one(fields.FILE_ACTION.secondaryInput)),
    output: int(one(fields.FILE_ACTION.output)),
    action: readActionKind(one),
  };
}

const { copy, mkfile, mkdir, rm, symlink } = fields.FILE_ACTION;
const ACTIONS = [copy, mkfile, mkdir, rm, symlink];

function readActionKind(one: (n: number) => WireField | undefined): ops.FileAction['action'] {
  const number = ACTIONS.find((n) => one(n) !== undefined);
  if (number === undefined) throw malformedGraph('a file action has an unknown kind');
  const inner = collect(asBytes(one(number) as WireField));
  switch (number) {
    case fields.FILE_ACTION.copy:
      return { kind: 'copy', copy: readCopy(inner) };
    case fields.FILE_ACTION.mkfile: {
      const data = inner.one(fields.FILE_ACTION_MKFILE.data);
      const mkfile = {
        path: text(inner.one(fields.FILE_ACTION_MKFILE.path)),
        mode: int(inner.one(fields.FILE_ACTION_MKFILE.mode)),
        data: data ? asBytes(data) : new Uint8Array(),
      };
      return {
        kind: 'mkfile',
        mkfile: {
          ...mkfile,
          ...readOwner(inner.one(fields.FILE_ACTION_MKFILE.owner)),
          timestamp: time(inner.one(fields.FILE_ACTION_MKFILE.timestamp)),
        },
      };
    }
    case fields.FILE_ACTION.mkdir: {
      const mkdir = {
        path: text(inner.one(fields.FILE_ACTION_MKDIR.path)),
        mode: int(inner.one(fields.FILE_ACTION_MKDIR.mode)),
        makeParents: bool(inner.one(fields.FILE_ACTION_MKDIR.makeParents)),
      };
      return {
        kind: 'mkdir',
        mkdir: {
          ...mkdir,
          ...readOwner(inner.one(fields.FILE_ACTION_MKDIR.owner)),
          timestamp: time(inner.one(fields.FILE_ACTION_MKDIR.timestamp)),
        },
      };
    }
    case fields.FILE_ACTION.rm:
      return {
        kind: 'rm',
        rm: {
          path: text(inner.one(fields.FILE_ACTION_RM.path)),
          allowNotFound: bool(inner.one(fields.FILE_ACTION_RM.allowNotFound)),
          allowWildcard: bool(inner.one(fields.FILE_ACTION_RM.allowWildcard)),
        },
      };
    default: {
      const symlink = {
        oldpath: text(inner.one(fields.FILE_ACTION_SYMLINK.oldpath)),
        newpath: text(inner.one(fields.FILE_ACTION_SYMLINK.newpath)),
        timestamp: time(inner.one(fields.FILE_ACTION_SYMLINK.timestamp)),
      };
      return {
        kind: 'symlink',
        symlink: { ...symlink, ...readOwner(inner.one(fields.FILE_ACTION_SYMLINK.owner)) },
      };
    }
  }
}

function readCopy({ one, all }: ReturnType<typeof collect>): ops.FileActionCopy {
  const includePatterns = texts(all(fields.FILE_ACTION_COPY.includePatterns));
  const excludePatterns = texts(all(fields.FILE_ACTION_COPY.excludePatterns));
  const modeStr = text(one(fields.FILE_ACTION_COPY.modeStr));
  const requiredPaths = texts(all(fields.FILE_ACTION_COPY.requiredPaths));
  return {
    src: text(one(fields.FILE_ACTION_COPY.src)),
    dest: text(one(fields.FILE_ACTION_COPY.dest)),
    ...readOwner(one(fields.FILE_ACTION_COPY.owner)),
    mode: int(one(fields.FILE_ACTION_COPY.mode)),
    followSymlink: bool(one(fields.FILE_ACTION_COPY.followSymlink)),
    dirCopyContents: bool(one(fields.FILE_ACTION_COPY.dirCopyContents)),
    attemptUnpackDockerCompatibility: bool(
      one(fields.FILE_ACTION_COPY.attemptUnpackDockerCompatibility),
    ),
    createDestPath: bool(one(fields.FILE_ACTION_COPY.createDestPath)),
    allowWildcard: bool(one(fields.FILE_ACTION_COPY.allowWildcard)),
    allowEmptyWildcard: bool(one(fields.FILE_ACTION_COPY.allowEmptyWildcard)),
    timestamp: time(one(fields.FILE_ACTION_COPY.timestamp)),
    ...(includePatterns.length > 0 && { includePatterns }),
    ...(excludePatterns.length > 0 && { excludePatterns }),
    ...(bool(one(fields.FILE_ACTION_COPY.alwaysReplaceExistingDestPaths)) && {
      alwaysReplaceExistingDestPaths: true,
    }),
    ...(modeStr && { modeStr }),
    ...(requiredPaths.length > 0 && { requiredPaths }),
  };
}

function readOwner(field: WireField | undefined): { owner?: ops.ChownOpt } {
  if (!field) return {};
  const { one } = collect(asBytes(field));
  const user = readUser(one(fields.CHOWN_OPT.user));
  const group = readUser(one(fields.CHOWN_OPT.group));
  return { owner: { ...(user && { user }), ...(group && { group }) } };
}

function readUser(field: WireField | undefined): ops.UserOpt | undefined {
  if (!field) return undefined;
  const { one } = collect(asBytes(field));
  const named = one(fields.USER_OPT.byName);
  if (!named) return { by: 'id', id: int(one(fields.USER_OPT.byId)) };
  const inner = collect(asBytes(named));
  return {
    by: 'name',
    name: text(inner.one(fields.NAMED_USER_OPT.name)),
    input: int(inner.one(fields.NAMED_USER_OPT.input)),
  };
}

function readIndex(bytes: Uint8Array): { input: number } {
  return { input: int(collect(bytes).one(fields.INDEX.input)) };
}

function readDiff(bytes: Uint8Array): ops.DiffOp {
  const { one } = collect(bytes);
  const index = (n: number): { input: number } => {
    const field = one(n);
    if (!field) throw malformedGraph('a diff lacks one of its two inputs');
    return readIndex(asBytes(field));
  };
  return { lower: index(fields.DIFF_OP.lower), upper: index(fields.DIFF_OP.upper) };
}

function readBuild(bytes: Uint8Array): ops.BuildOp {
  const { one, all } = collect(bytes);
  const def = one(fields.BUILD_OP.def);
  return {
    builder: int(one(fields.BUILD_OP.builder)),
    inputs: readMap(all(fields.BUILD_OP.inputs), (field) =>
      readIndex(field ? asBytes(field) : new Uint8Array()),
    ),
    ...(def && { def: asBytes(def) }),
    attrs: readTextMap(all(fields.BUILD_OP.attrs)),
  };
}
