import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { elfHeader, elfMask, type Machine } from './elf.ts';

/** One registration of a foreign program format (Documentation/admin-guide/binfmt-misc.rst). */
export interface Registration {
  readonly interpreter: string;
  readonly flags: string;
  readonly enabled: boolean;
  readonly offset: number;
  readonly magic: Buffer;
  /** Has the same length as `magic`. */
  readonly mask: Buffer;
}

/** Where the kernel's own table is mounted, if it is mounted. */
export const BINFMT = '/proc/sys/fs/binfmt_misc';

/** The registrations of the table that is mounted at `directory`. */
export function readRegistrations(directory: string): readonly Registration[] {
  if (
    !existsSync(`${directory}/status`) ||
    !/^enabled/.test(readFileSync(`${directory}/status`, 'latin1'))
  )
    return [];
  const names = readdirSync(directory).filter((name) => name !== 'status' && name !== 'register');
  return names.flatMap(
    (name) => parseRegistration(readFileSync(`${directory}/${name}`, 'latin1')) ?? [],
  );
}

/**
 * Parses one entry as the kernel shows it. Undefined for an entry that matches by file name instead
 * of magic number.
 */
export function parseRegistration(text: string): Registration | undefined {
  const field = (name: string) => new RegExp(`^${name}:? (.*)$`, 'm').exec(text)?.[1]?.trim();
  const magic = field('magic');
  if (magic === undefined) return undefined;
  const bytes = Buffer.from(magic, 'hex');
  const mask = field('mask');
  return {
    interpreter: field('interpreter') ?? '',
    flags: field('flags') ?? '',
    enabled: /^enabled/.test(text),
    offset: Number(field('offset') ?? 0),
    magic: bytes,
    mask: mask === undefined ? Buffer.alloc(bytes.length, 0xff) : Buffer.from(mask, 'hex'),
  };
}

/** The entry with which the kernel would run programs for `machine`. */
export function registrationFor(
  registrations: readonly Registration[],
  machine: Machine,
): Registration | undefined {
  const header = elfHeader(machine);
  return registrations.find(
    ({ enabled, offset, magic, mask }) =>
      enabled &&
      offset + magic.length <= header.length &&
      magic.every((byte, at) => ((header[offset + at]! ^ byte) & mask[at]!) === 0),
  );
}

/**
 * The line that registers `interpreter`. P: it gets the program's own argv[0] (QEMU 5.2 and later
 * sees in the auxiliary vector that it does). O and C: it gets the program as a descriptor, with
 * the rights of a set-user-ID file. F: it is opened now, so its file is not needed in the sandbox.
 */
export function registerLine(name: string, machine: Machine, interpreter: string): string {
  return [
    '',
    name,
    'M',
    '',
    escaped(elfHeader(machine)),
    escaped(elfMask(machine)),
    interpreter,
    'POCF',
  ].join(':');
}

function escaped(bytes: Buffer): string {
  return Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}
