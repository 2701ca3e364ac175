import { KilnError } from '../../base/errors.ts';
import { checkDeviceName } from './device-name.ts';
import type { DeviceEdits } from './edits.ts';
import { type CdiDevice, loadDevices } from './load-devices.ts';

/**
 * # Devices of the host by name
 *
 * Implements the Container Device Interface (cncf-tags/container-device-interface, SPEC.md): files
 * on the host describe what a device adds to a container: nodes, mounts, variables, hooks. Names
 * are `vendor.com/class=name`. Without `=name` the first device of the kind is meant, and with `=*`
 * all of them. A name that no device has may be the class with which devices are annotated, as with
 * BuildKit.
 */
export interface DeviceRequest {
  readonly name: string;
  /** True when the step runs without the device where it does not exist. */
  readonly optional: boolean;
}

const CDI_DIRECTORIES: readonly string[] = ['/etc/cdi', '/var/run/cdi'];

const CLASS_ANNOTATION = 'org.mobyproject.buildkit.device.class';

/**
 * What the requested devices change in a sandbox. Throws KILN_DEVICE_NAME, KILN_DEVICE_UNKNOWN,
 * KILN_DEVICE_FILE.
 */
export async function findDevices(
  requests: readonly DeviceRequest[],
  directories: readonly string[] = CDI_DIRECTORIES,
): Promise<readonly DeviceEdits[]> {
  for (const { name } of requests) checkDeviceName(name);
  if (requests.length === 0) return [];
  const devices = await loadDevices(directories);
  const found = new Map<string, CdiDevice>();
  for (const request of requests) {
    const matching = matches(request.name, devices);
    if (matching.length === 0 && !request.optional)
      throw unknown(request.name, devices, directories);
    for (const device of matching) found.set(device.name, device);
  }
  // The edits that a file has for all of its devices are applied once.
  return [...new Set([...found.values()].flatMap(({ edits }) => edits))];
}

/** All devices of this host, by name. Throws KILN_DEVICE_FILE. */
export async function listDevices(): Promise<readonly CdiDevice[]> {
  return await loadDevices(CDI_DIRECTORIES);
}

function matches(name: string, devices: readonly CdiDevice[]): readonly CdiDevice[] {
  const [kind = '', own] = name.split('=');
  const ofKind = devices.filter((device) => device.name.startsWith(`${kind}=`));
  if (own === undefined) return ofKind.slice(0, 1);
  if (own === '*') return ofKind;
  const exact = ofKind.filter((device) => device.name === name);
  return exact.length > 0
    ? exact
    : ofKind.filter(({ annotations }) => annotations[CLASS_ANNOTATION] === own);
}

function unknown(
  name: string,
  devices: readonly CdiDevice[],
  directories: readonly string[],
): KilnError {
  const names = devices.map((device) => device.name);
  return new KilnError('KILN_DEVICE_UNKNOWN', `this host has no device ${name}`, {
    hint:
      names.length > 0
        ? `its devices are ${names.join(', ')}`
        : `devices are described by files in ${directories.join(' and ')}`,
  });
}
