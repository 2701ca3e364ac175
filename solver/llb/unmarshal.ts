import { isDigest } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import type { OpInput } from './marshal.ts';
import type * as ops from './ops.ts';
import { asBigInt, asBool, asBytes, asInt, asText, malformed, readFields, type WireField } from './wire.ts';

/** An op as it was read: `op` is undefined for the last entry of a definition, which only has an input. */
export interface ReadOp {
  readonly op: ops.Op | undefined;
  readonly inputs: readonly OpInput[];
}

/**
 * Reads pb.Op. Unknown fields are skipped, as protobuf demands. Throws KILN_LLB_MALFORMED for bytes that are no op; an op that
 * is well-formed but makes no sense (an index out of range) is found by `definition.ts`.
 */
export function unmarshalOp(bytes: Uint8Array): ReadOp {
  const inputs: OpInput[] = [];
  let kind: KindOnly | undefined;
  let platform: Platform | undefined;
  let constraints: ops.WorkerConstraints | undefined;
  for (const field of readFields(bytes)) {
    if (field.number === 1) inputs.push(readInput(asBytes(field)));
    else if (field.number === 10) platform = readPlatform(asBytes(field));
    else if (field.number === 11) constraints = readConstraints(asBytes(field));
    else kind = readKind(field) ?? kind;
  }
  const op = kind && { ...kind, ...(platform && { platform }), ...(constraints && { constraints }) };
  return { op, inputs };
}

type KindOnly = ops.Op extends infer O ? (O extends ops.Op ? Omit<O, 'platform' | 'constraints'> : never) : never;

function readKind(field: WireField): KindOnly | undefined {
  switch (field.number) {
    case 2:
      return { kind: 'exec', exec: readExec(asBytes(field)) };
    case 3:
      return { kind: 'source', source: readSource(asBytes(field)) };
    case 4:
      return { kind: 'file', file: { actions: readAll(asBytes(field), 2, readAction) } };
    case 5:
      return { kind: 'build', build: readBuild(asBytes(field)) };
    case 6:
      return { kind: 'merge', merge: { inputs: readAll(asBytes(field), 1, readIndex) } };
    case 7:
      return { kind: 'diff', diff: readDiff(asBytes(field)) };
    default:
      return undefined;
  }
}

/** The last value of each field of a message, and all values of each, by number. */
function collect(bytes: Uint8Array): { one: (n: number) => WireField | undefined; all: (n: number) => readonly WireField[] } {
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

/** Times in nanoseconds may be beyond what a double holds exactly. */
function time(field: WireField | undefined): number | bigint {
  if (!field) return 0;
  const value = asBigInt(field);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER) ? Number(value) : value;
}

function choice<T extends number>(field: WireField | undefined, last: T): T {
  const value = int(field);
  if (value < 0 || value > last) throw malformed(`${value} is not one of its choices`);
  return value as T;
}

export function readTextMap(fields: readonly WireField[]): Record<string, string> {
  return readMap(fields, (field) => text(field));
}

export function readMap<T>(fields: readonly WireField[], read: (value: WireField | undefined) => T): Record<string, T> {
  return Object.fromEntries(
    fields.map((field) => {
      const entry = collect(asBytes(field));
      return [text(entry.one(1)), read(entry.one(2))];
    }),
  );
}

function readInput(bytes: Uint8Array): OpInput {
  const { one } = collect(bytes);
  const digest = text(one(1));
  if (!isDigest(digest)) throw malformed(`${JSON.stringify(digest.slice(0, 80))} is not a digest`);
  return { digest, index: int(one(2)) };
}

function readPlatform(bytes: Uint8Array): Platform {
  const { one, all } = collect(bytes);
  const variant = text(one(3));
  const osVersion = text(one(4));
  const osFeatures = texts(all(5));
  return {
    architecture: text(one(1)),
    os: text(one(2)),
    ...(variant && { variant }),
    ...(osVersion && { osVersion }),
    ...(osFeatures.length > 0 && { osFeatures }),
  };
}

function readConstraints(bytes: Uint8Array): ops.WorkerConstraints {
  const filter = texts(collect(bytes).all(1));
  return filter.length > 0 ? { filter } : {};
}

function readSource(bytes: Uint8Array): ops.SourceOp {
  const { one, all } = collect(bytes);
  return { identifier: text(one(1)), attrs: readTextMap(all(2)) };
}

function readExec(bytes: Uint8Array): ops.ExecOp {
  const { one, all } = collect(bytes);
  const meta = one(1);
  const secretenv = all(5).map((field) => {
    const inner = collect(asBytes(field));
    return { id: text(inner.one(1)), name: text(inner.one(2)), optional: bool(inner.one(3)) };
  });
  const cdiDevices = all(6).map((field) => {
    const inner = collect(asBytes(field));
    return { name: text(inner.one(1)), optional: bool(inner.one(2)) };
  });
  return {
    meta: readMeta(meta ? asBytes(meta) : new Uint8Array()),
    mounts: all(2).map((field) => readMount(asBytes(field))),
    network: choice<ops.NetMode>(one(3), 2),
    security: choice<ops.SecurityMode>(one(4), 1),
    ...(secretenv.length > 0 && { secretenv }),
    ...(cdiDevices.length > 0 && { cdiDevices }),
  };
}

function readMeta(bytes: Uint8Array): ops.ExecMeta {
  const { one, all } = collect(bytes);
  const proxy = one(5);
  const user = text(one(4));
  const extraHosts = all(6).map((field) => {
    const inner = collect(asBytes(field));
    return { host: text(inner.one(1)), ip: text(inner.one(2)) };
  });
  const hostname = text(one(7));
  const ulimit = all(9).map((field) => {
    const inner = collect(asBytes(field));
    return { name: text(inner.one(1)), soft: int(inner.one(2)), hard: int(inner.one(3)) };
  });
  const cgroupParent = text(one(10));
  const validExitCodes = all(12).flatMap(readPackedInts);
  return {
    args: texts(all(1)),
    env: texts(all(2)),
    cwd: text(one(3)),
    ...(user && { user }),
    ...(proxy && { proxyEnv: readProxy(asBytes(proxy)) }),
    ...(extraHosts.length > 0 && { extraHosts }),
    ...(hostname && { hostname }),
    ...(ulimit.length > 0 && { ulimit }),
    ...(cgroupParent && { cgroupParent }),
    ...(bool(one(11)) && { removeMountStubsRecursive: true }),
    ...(validExitCodes.length > 0 && { validExitCodes }),
  };
}

/** A repeated integer field: packed, or one value per field. Each value is read as a field of a message made for it. */
function readPackedInts(field: WireField): number[] {
  if (field.bytes === undefined) return [asInt(field)];
  const values: number[] = [];
  let value = 0n;
  let shift = 0n;
  for (const byte of field.bytes) {
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if (shift > 70n) throw malformed('a number is longer than ten bytes');
    if (byte >= 0x80) continue;
    values.push(Number(BigInt.asIntN(32, value)));
    value = 0n;
    shift = 0n;
  }
  if (shift !== 0n) throw malformed('a number is cut off');
  return values;
}

function readProxy(bytes: Uint8Array): ops.ProxyEnv {
  const { one } = collect(bytes);
  const [httpProxy, httpsProxy, ftpProxy, noProxy, allProxy] = [1, 2, 3, 4, 5].map((n) => text(one(n)));
  return {
    ...(httpProxy && { httpProxy }),
    ...(httpsProxy && { httpsProxy }),
    ...(ftpProxy && { ftpProxy }),
    ...(noProxy && { noProxy }),
    ...(allProxy && { allProxy }),
  };
}

function readMount(bytes: Uint8Array): ops.Mount {
  const { one } = collect(bytes);
  const selector = text(one(2));
  const mountType = choice<ops.MountType>(one(6), 4);
  const contentCache = choice<0 | 1 | 2>(one(24), 2);
  const [tmpfs, cache, secret, ssh] = [19, 20, 21, 22].map((n) => {
    const field = one(n);
    return field && collect(asBytes(field));
  });
  return {
    input: int(one(1)),
    dest: text(one(3)),
    output: int(one(4)),
    ...(selector && { selector }),
    ...(bool(one(5)) && { readonly: true }),
    ...(mountType && { mountType }),
    ...(tmpfs && { tmpfs: { size: int(tmpfs.one(1)) } }),
    ...(cache && { cache: { id: text(cache.one(1)), sharing: choice<0 | 1 | 2>(cache.one(2), 2) } }),
    ...(secret && { secret: readOwned(secret.one) }),
    ...(ssh && { ssh: readOwned(ssh.one) }),
    ...(contentCache && { contentCache }),
  };
}

function readOwned(one: (n: number) => WireField | undefined): NonNullable<ops.Mount['secret']> {
  return { id: text(one(1)), uid: int(one(2)), gid: int(one(3)), mode: int(one(4)), optional: bool(one(5)) };
}

function readAction(bytes: Uint8Array): ops.FileAction {
  const { one } = collect(bytes);
  return { input: int(one(1)), secondaryInput: int(one(2)), output: int(one(3)), action: readActionKind(one) };
}

function readActionKind(one: (n: number) => WireField | undefined): ops.FileAction['action'] {
  const number = [4, 5, 6, 7, 8].find((n) => one(n) !== undefined);
  if (number === undefined) throw malformed('a file action of an unknown kind');
  const inner = collect(asBytes(one(number) as WireField));
  switch (number) {
    case 4:
      return { kind: 'copy', copy: readCopy(inner) };
    case 5: {
      const data = inner.one(3);
      const mkfile = { path: text(inner.one(1)), mode: int(inner.one(2)), data: data ? asBytes(data) : new Uint8Array() };
      return { kind: 'mkfile', mkfile: { ...mkfile, ...readOwner(inner.one(4)), timestamp: time(inner.one(5)) } };
    }
    case 6: {
      const mkdir = { path: text(inner.one(1)), mode: int(inner.one(2)), makeParents: bool(inner.one(3)) };
      return { kind: 'mkdir', mkdir: { ...mkdir, ...readOwner(inner.one(4)), timestamp: time(inner.one(5)) } };
    }
    case 7:
      return {
        kind: 'rm',
        rm: { path: text(inner.one(1)), allowNotFound: bool(inner.one(2)), allowWildcard: bool(inner.one(3)) },
      };
    default: {
      const symlink = { oldpath: text(inner.one(1)), newpath: text(inner.one(2)), timestamp: time(inner.one(4)) };
      return { kind: 'symlink', symlink: { ...symlink, ...readOwner(inner.one(3)) } };
    }
  }
}

function readCopy({ one, all }: ReturnType<typeof collect>): ops.FileActionCopy {
  const includePatterns = texts(all(12));
  const excludePatterns = texts(all(13));
  const modeStr = text(one(15));
  const requiredPaths = texts(all(16));
  return {
    src: text(one(1)),
    dest: text(one(2)),
    ...readOwner(one(3)),
    mode: int(one(4)),
    followSymlink: bool(one(5)),
    dirCopyContents: bool(one(6)),
    attemptUnpackDockerCompatibility: bool(one(7)),
    createDestPath: bool(one(8)),
    allowWildcard: bool(one(9)),
    allowEmptyWildcard: bool(one(10)),
    timestamp: time(one(11)),
    ...(includePatterns.length > 0 && { includePatterns }),
    ...(excludePatterns.length > 0 && { excludePatterns }),
    ...(bool(one(14)) && { alwaysReplaceExistingDestPaths: true }),
    ...(modeStr && { modeStr }),
    ...(requiredPaths.length > 0 && { requiredPaths }),
  };
}

function readOwner(field: WireField | undefined): { owner?: ops.ChownOpt } {
  if (!field) return {};
  const { one } = collect(asBytes(field));
  const user = readUser(one(1));
  const group = readUser(one(2));
  return { owner: { ...(user && { user }), ...(group && { group }) } };
}

function readUser(field: WireField | undefined): ops.UserOpt | undefined {
  if (!field) return undefined;
  const { one } = collect(asBytes(field));
  const named = one(1);
  if (!named) return { by: 'id', id: int(one(2)) };
  const inner = collect(asBytes(named));
  return { by: 'name', name: text(inner.one(1)), input: int(inner.one(2)) };
}

function readIndex(bytes: Uint8Array): { input: number } {
  return { input: int(collect(bytes).one(1)) };
}

function readDiff(bytes: Uint8Array): ops.DiffOp {
  const { one } = collect(bytes);
  const index = (n: number): { input: number } => {
    const field = one(n);
    if (!field) throw malformed('a diff without its two inputs');
    return readIndex(asBytes(field));
  };
  return { lower: index(1), upper: index(2) };
}

function readBuild(bytes: Uint8Array): ops.BuildOp {
  const { one, all } = collect(bytes);
  const def = one(3);
  return {
    builder: int(one(1)),
    inputs: readMap(all(2), (field) => readIndex(field ? asBytes(field) : new Uint8Array())),
    ...(def && { def: asBytes(def) }),
    attrs: readTextMap(all(4)),
  };
}
