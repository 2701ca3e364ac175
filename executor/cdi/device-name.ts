import { KilnError } from '../../base/errors.ts';

const NAME = /^[A-Za-z0-9][\w.-]*[A-Za-z0-9]\/[A-Za-z0-9][\w.-]*(=(\*|[\w.:-]+))?$/;

/**
 * Throws KILN_DEVICE_NAME unless `name` is the CDI name of a device: `vendor.com/class`, also with
 * `=name` or `=*`.
 */
export function checkDeviceName(name: string): void {
  if (NAME.test(name)) return;
  throw new KilnError('KILN_DEVICE_NAME', `${JSON.stringify(name)} is not the name of a device`, {
    hint: 'write it like vendor.com/class=name',
  });
}
