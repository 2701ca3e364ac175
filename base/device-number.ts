/** The numbers of a device. */
export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

/** Takes a `dev_t` of Linux apart, as gnu_dev_major and gnu_dev_minor of glibc do. */
export function deviceNumber(rdev: bigint): DeviceNumber {
  return {
    major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)),
    minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)),
  };
}
