import { readdirSync, readFileSync } from 'node:fs';
import { errnoOf, messageOf } from '../../base/errors.ts';
import { isOsError, osError, reading, reasonOf } from '../../base/oserror.ts';
import { type DeviceEdits, parseEdits, Reader } from './edits.ts';

/** One device of this host. */
export interface CdiDevice {
  /** `vendor.com/class=name` */
  readonly name: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Those of its file, then its own; made when they are asked for, as a file may name devices that are not plugged in. */
  readonly edits: readonly DeviceEdits[];
}

/**
 * The devices that the files in `directories` describe, in the order of their names. A device of a later directory replaces one of an
 * earlier (SPEC.md, CDI JSON Specification). Throws KILN_DEVICE_FILE.
 */
export async function loadDevices(directories: readonly string[]): Promise<readonly CdiDevice[]> {
  const devices = new Map<string, CdiDevice>();
  for (const directory of directories) {
    for (const name of list(directory)) {
      const path = `${directory}/${name}`;
      for (const device of devicesOf(await parse(path), path)) devices.set(device.name, device);
    }
  }
  return [...devices.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function list(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.(json|ya?ml)$/.test(name))
      .toSorted();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return [];
    throw osError(error, { ...reading('the directory of devices', directory), code: 'KILN_DEVICE_FILE' });
  }
}

async function parse(path: string): Promise<unknown> {
  try {
    const text = readFileSync(path, 'utf8');
    if (path.endsWith('.json')) return JSON.parse(text);
    const { parse: parseYaml } = await import('yaml');
    return parseYaml(text);
  } catch (error) {
    throw new Reader(path).wrong(isOsError(error) ? reasonOf(error) : messageOf(error));
  }
}

const KIND = /^[A-Za-z][\w.-]*\/[A-Za-z][\w.-]*$/;

function devicesOf(document: unknown, path: string): CdiDevice[] {
  const reader = new Reader(path);
  const file = reader.object(document, 'the file', ['cdiVersion', 'kind', 'annotations', 'devices', 'containerEdits']);
  reader.text(file['cdiVersion'], 'cdiVersion', /^\d+\.\d+\.\d+$/);
  const kind = reader.text(file['kind'], 'kind', KIND);
  const common = file['containerEdits'];
  const shared = once(() => (common === undefined ? [] : [parseEdits(common, path)]));
  return reader.list(file['devices'], 'devices').map((value) => {
    const device = reader.object(value, 'devices', ['name', 'annotations', 'containerEdits']);
    const name = reader.text(device['name'], 'name', /^[A-Za-z0-9][\w.:-]*$/);
    const own = once(() => [...shared(), parseEdits(device['containerEdits'], path)]);
    return {
      name: `${kind}=${name}`,
      annotations: { ...annotations(file['annotations']), ...annotations(device['annotations']) },
      get edits() {
        return own();
      },
    };
  });
}

function annotations(value: unknown): Readonly<Record<string, string>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, string>) : {};
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
