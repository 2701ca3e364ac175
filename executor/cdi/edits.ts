import { statSync } from 'node:fs';
import { deviceNumber } from '../../base/device-number.ts';
import { KilnError } from '../../base/errors.ts';
import { reasonOf } from '../../base/oserror.ts';

/** What one device changes in a sandbox: the checked `containerEdits` of its file. */
export interface DeviceEdits {
  readonly env: readonly string[];
  readonly nodes: readonly DeviceNode[];
  readonly mounts: readonly {
    readonly source: string;
    readonly target: string;
    readonly readonly: boolean;
  }[];
  /** `hooks` of the runtime configuration, with their names there. */
  readonly hooks: readonly {
    readonly when: string;
    readonly hook: Readonly<Record<string, unknown>>;
  }[];
  readonly groups: readonly number[];
}

export interface DeviceNode {
  readonly path: string;
  readonly hostPath: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Some of `r`, `w` and `m`. */
  readonly access: string;
}

const HOOKS = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
];
const S_IFMT = 0o170000;
const S_IFBLK = 0o060000;
const S_IFCHR = 0o020000;

/**
 * Reads `containerEdits`. An unknown field is an error, because the file may mean more than Kiln
 * would do. Throws KILN_DEVICE_FILE.
 */
export function parseEdits(value: unknown, file: string): DeviceEdits {
  const reader = new Reader(file);
  const edits = reader.object(value, 'containerEdits', [
    'env',
    'deviceNodes',
    'mounts',
    'hooks',
    'additionalGids',
    'intelRdt',
    'netDevices',
  ]);
  for (const name of ['intelRdt', 'netDevices'])
    if (edits[name] !== undefined) throw reader.wrong(`${name} is not supported`);
  return {
    env: reader
      .list(edits['env'], 'env')
      .map((entry) => reader.text(entry, 'env', /^[^=\0]+=[^\0]*$/)),
    nodes: reader.list(edits['deviceNodes'], 'deviceNodes').map((node) => parseNode(node, reader)),
    mounts: reader.list(edits['mounts'], 'mounts').map((mount) => parseMount(mount, reader)),
    hooks: reader.list(edits['hooks'], 'hooks').map((hook) => parseHook(hook, reader)),
    groups: reader
      .list(edits['additionalGids'], 'additionalGids')
      .map((gid) => reader.number(gid, 'additionalGids')),
  };
}

function parseNode(value: unknown, reader: Reader): DeviceNode {
  const node = reader.object(value, 'deviceNodes', [
    'path',
    'hostPath',
    'type',
    'major',
    'minor',
    'fileMode',
    'permissions',
    'uid',
    'gid',
  ]);
  const path = reader.path(node['path'], 'path');
  const hostPath =
    node['hostPath'] === undefined ? path : reader.path(node['hostPath'], 'hostPath');
  const found = statNode(hostPath, reader);
  return {
    path,
    hostPath,
    type: found.type,
    major: found.major,
    minor: found.minor,
    mode:
      node['fileMode'] === undefined
        ? found.mode
        : reader.number(node['fileMode'], 'fileMode') & 0o777,
    uid: node['uid'] === undefined ? 0 : reader.number(node['uid'], 'uid'),
    gid: node['gid'] === undefined ? found.gid : reader.number(node['gid'], 'gid'),
    access:
      node['permissions'] === undefined
        ? 'rwm'
        : reader.text(node['permissions'], 'permissions', /^[rwm]+$/),
  };
}

/** Looks the node up on the host: the numbers in the file may be from another boot. */
function statNode(
  path: string,
  reader: Reader,
): Pick<DeviceNode, 'type' | 'major' | 'minor' | 'mode' | 'gid'> {
  let stat: ReturnType<typeof statSync>;
  try {
    stat = statSync(path);
  } catch (error) {
    throw reader.wrong(`its device ${path} cannot be found: ${reasonOf(error)}`);
  }
  const kind = stat.mode & S_IFMT;
  if (kind !== S_IFCHR && kind !== S_IFBLK) throw reader.wrong(`${path} is not a device`);
  return {
    type: kind === S_IFCHR ? 'c' : 'b',
    ...deviceNumber(BigInt(stat.rdev)),
    mode: stat.mode & 0o777,
    gid: stat.gid,
  };
}

function parseMount(value: unknown, reader: Reader): DeviceEdits['mounts'][number] {
  const mount = reader.object(value, 'mounts', ['hostPath', 'containerPath', 'options', 'type']);
  const options = reader
    .list(mount['options'], 'options')
    .map((option) => reader.text(option, 'options'));
  return {
    source: reader.path(mount['hostPath'], 'hostPath'),
    target: reader.path(mount['containerPath'], 'containerPath'),
    readonly: options.includes('ro'),
  };
}

function parseHook(value: unknown, reader: Reader): DeviceEdits['hooks'][number] {
  const { hookName, path, args, env, timeout } = reader.object(value, 'hooks', [
    'hookName',
    'path',
    'args',
    'env',
    'timeout',
  ]);
  const when = reader.text(hookName, 'hookName');
  if (!HOOKS.includes(when)) throw reader.wrong(`the hook ${when} does not exist`);
  const texts = (list: unknown, name: string) =>
    reader.list(list, name).map((entry) => reader.text(entry, name));
  return {
    when,
    hook: {
      path: reader.path(path, 'path'),
      ...(args === undefined ? {} : { args: texts(args, 'args') }),
      ...(env === undefined ? {} : { env: texts(env, 'env') }),
      ...(timeout === undefined ? {} : { timeout: reader.number(timeout, 'timeout') }),
    },
  };
}

/** Takes values out of a parsed file. Its errors name the file. */
export class Reader {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  wrong(why: string): KilnError {
    return new KilnError(
      'KILN_DEVICE_FILE',
      `the device description ${this.#file} cannot be used: ${why}`,
      {
        place: { kind: 'path', path: this.#file },
        hint: 'generate it again with the tool of the vendor',
      },
    );
  }

  object(
    value: unknown,
    name: string,
    known: readonly string[],
  ): Readonly<Record<string, unknown>> {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.wrong(`${name} is not an object`);
    const other = Object.keys(value).find((key) => !known.includes(key));
    if (other !== undefined) throw this.wrong(`${name} has the unknown field ${other}`);
    return value as Readonly<Record<string, unknown>>;
  }

  list(value: unknown, name: string): readonly unknown[] {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) throw this.wrong(`${name} is not a list`);
    return value;
  }

  text(value: unknown, name: string, pattern = /^[^\0]+$/): string {
    if (typeof value !== 'string' || !pattern.test(value))
      throw this.wrong(`${name} is ${JSON.stringify(value) ?? 'missing'}`);
    return value;
  }

  path(value: unknown, name: string): string {
    return this.text(value, name, /^\/[^\0]*$/);
  }

  number(value: unknown, name: string): number {
    if (!Number.isInteger(value) || (value as number) < 0)
      throw this.wrong(`${name} is ${JSON.stringify(value) ?? 'missing'}`);
    return value as number;
  }
}
