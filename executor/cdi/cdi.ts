import { KilnError } from '../../base/errors.ts';
import type { DeviceEdits } from './edits.ts';
import { type CdiDevice, loadDevices } from './load-devices.ts';

/**
 * # Devices of the host by name
 *
 * The Container Device Interface (cncf-tags/container-device-interface, SPEC.md): files of the host's owner say what a device is in
 * a container: nodes, mounts, variables, hooks. Names are `vendor.com/class=name`; without a name the first of the kind is meant, with
 * `*` all of them, and a name that no device has may be the class that devices are annotated with, as with BuildKit.
 */
export interface DeviceRequest {
  readonly name: string;
  /** A step goes on without it where it is not there. */
  readonly optional: boolean;
}

export const CDI_DIRECTORIES: readonly string[] = ['/etc/cdi', '/var/run/cdi'];

const CLASS_ANNOTATION = 'org.mobyproject.buildkit.device.class';
const NAME = /^[A-Za-z0-9][\w.-]*[A-Za-z0-9]\/[A-Za-z0-9][\w.-]*(=(\*|[\w.:-]+))?$/;

/** What the devices asked for change in a sandbox. Throws KILN_DEVICE_NAME, KILN_DEVICE_UNKNOWN, KILN_DEVICE_FILE. */
export async function findDevices(
  requests: readonly DeviceRequest[],
  directories: readonly string[] = CDI_DIRECTORIES,
): Promise<readonly DeviceEdits[]> {
  for (const { name } of requests) checkName(name);
  if (requests.length === 0) return [];
  const devices = await loadDevices(directories);
  const found = new Map<string, CdiDevice>();
  for (const request of requests) {
    const matching = matches(request.name, devices);
    if (matching.length === 0 && !request.optional) throw unknown(request.name, devices, directories);
    for (const device of matching) found.set(device.name, device);
  }
  // What a file changes for all of its devices counts once.
  return [...new Set([...found.values()].flatMap(({ edits }) => edits))];
}

/** `vendor.com/class`, also with `=name` or `=*`. */
export function checkName(name: string): void {
  if (NAME.test(name)) return;
  throw new KilnError('KILN_DEVICE_NAME', `${JSON.stringify(name)} is not the name of a device`, {
    hint: 'write it like vendor.com/class=name',
  });
}

function matches(name: string, devices: readonly CdiDevice[]): readonly CdiDevice[] {
  const [kind = '', own] = name.split('=');
  const ofKind = devices.filter((device) => device.name.startsWith(`${kind}=`));
  if (own === undefined) return ofKind.slice(0, 1);
  if (own === '*') return ofKind;
  const exact = ofKind.filter((device) => device.name === name);
  return exact.length > 0 ? exact : ofKind.filter(({ annotations }) => annotations[CLASS_ANNOTATION] === own);
}

function unknown(name: string, devices: readonly CdiDevice[], directories: readonly string[]): KilnError {
  const names = devices.map((device) => device.name);
  return new KilnError('KILN_DEVICE_UNKNOWN', `this host has no device ${name}`, {
    hint: names.length > 0 ? `it has ${names.join(', ')}` : `devices are described by files in ${directories.join(' and ')}`,
  });
}
