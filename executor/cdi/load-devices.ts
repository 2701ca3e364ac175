import { readdirSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import { isOsError, osError, reading, reasonOf } from '../../base/oserror.ts';
import { readRegularFile } from '../../base/regular-file.ts';
import { type DeviceEdits, parseEdits, Reader } from './edits.ts';

/** One device of this host. */
export interface CdiDevice {
  /** `vendor.com/class=name` */
  readonly name: string;
  readonly annotations: Readonly<Record<string, string>>;
  /**
   * The edits of the file, then those of the device. They are parsed when they are requested,
   * because a file may name devices that are not plugged in.
   */
  readonly edits: readonly DeviceEdits[];
}

/**
 * The devices that the files in `directories` describe, sorted by name. A device of a later
 * directory replaces an earlier one of the same name (SPEC.md, CDI JSON Specification). Throws
 * KILN_DEVICE_FILE.
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
    throw osError(error, {
      ...reading('the directory of devices', directory),
      code: 'KILN_DEVICE_FILE',
    });
  }
}

async function parse(path: string): Promise<unknown> {
  const reader = new Reader(path);
  const text = textOf(path, reader);
  const isJson = path.endsWith('.json');
  try {
    if (isJson) return JSON.parse(text);
    const { parse: parseYaml } = await import('yaml');
    return parseYaml(text);
  } catch {
    // The parsers' messages are not shown: they quote what they read, and a link may have led to
    // any file.
    throw reader.wrong(`it is not valid ${isJson ? 'JSON' : 'YAML'}`);
  }
}

function textOf(path: string, reader: Reader): string {
  try {
    return readRegularFile(path, MAX_FILE).toString();
  } catch (error) {
    throw isOsError(error) ? reader.wrong(reasonOf(error)) : error;
  }
}

/** The devices of a large machine take a few hundred KiB. */
const MAX_FILE = 16 << 20;
const KIND = /^[A-Za-z][\w.-]*\/[A-Za-z][\w.-]*$/;

function devicesOf(document: unknown, path: string): CdiDevice[] {
  const reader = new Reader(path);
  const file = reader.object(document, 'the file', [
    'cdiVersion',
    'kind',
    'annotations',
    'devices',
    'containerEdits',
  ]);
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
      annotations: {
        ...annotations(file['annotations'], reader),
        ...annotations(device['annotations'], reader),
      },
      get edits() {
        return own();
      },
    };
  });
}

function annotations(value: unknown, reader: Reader): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value))
    throw reader.wrong('annotations is not an object');
  const entries = Object.entries(value).map(
    ([key, text]) => [key, reader.text(text, `annotations.${key}`, /^/)] as const,
  );
  return Object.fromEntries(entries);
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
