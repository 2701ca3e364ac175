import { closeSync, openSync, readSync } from 'node:fs';

/** How the programs of an architecture begin, and how QEMU calls it. */
export interface Machine {
  /** The name in QEMU's program, such as `aarch64` in qemu-aarch64. */
  readonly qemu: string;
  readonly bits: 32 | 64;
  readonly bigEndian: boolean;
  /** e_machine of the ELF header. */
  readonly machine: number;
}

/** Keyed by OCI's name of the architecture (Go's GOARCH). The numbers are those of elf.h. */
const MACHINES: Readonly<Record<string, Machine>> = {
  '386': little('i386', 32, 3),
  amd64: little('x86_64', 64, 62),
  arm: little('arm', 32, 40),
  arm64: little('aarch64', 64, 183),
  loong64: little('loongarch64', 64, 258),
  mips: big('mips', 32, 8),
  mipsle: little('mipsel', 32, 8),
  mips64: big('mips64', 64, 8),
  mips64le: little('mips64el', 64, 8),
  ppc64: big('ppc64', 64, 21),
  ppc64le: little('ppc64le', 64, 21),
  riscv64: little('riscv64', 64, 243),
  s390x: big('s390x', 64, 22),
};

export function machineOf(architecture: string): Machine | undefined {
  return Object.hasOwn(MACHINES, architecture) ? MACHINES[architecture] : undefined;
}

/** Every architecture for which an emulator may exist. */
export const ARCHITECTURES: readonly string[] = Object.keys(MACHINES);

function little(qemu: string, bits: 32 | 64, machine: number): Machine {
  return { qemu, bits, bigEndian: false, machine };
}

function big(qemu: string, bits: 32 | 64, machine: number): Machine {
  return { qemu, bits, bigEndian: true, machine };
}

const EXECUTABLE = 2;

/** The first 20 bytes of a program: identification, type, machine. */
export function elfHeader({ bits, bigEndian, machine }: Machine): Buffer {
  const header = Buffer.alloc(20);
  header.set([0x7f, 0x45, 0x4c, 0x46, bits / 32, bigEndian ? 2 : 1, 1]);
  const half = (value: number, at: number) =>
    bigEndian ? header.writeUInt16BE(value, at) : header.writeUInt16LE(value, at);
  half(EXECUTABLE, 16);
  half(machine, 18);
  return header;
}

/**
 * The bits of the header that must match. The ABI does not, and a position-independent program
 * (type 3) matches too.
 */
export function elfMask({ bigEndian }: Machine): Buffer {
  const mask = Buffer.alloc(20, 0xff);
  mask[7] = 0;
  mask[bigEndian ? 17 : 16] = 0xfe;
  return mask;
}

const PT_INTERP = 3;

/**
 * True for a program that needs neither loader nor library. Only such a program runs in a tree that
 * lacks both.
 */
export function isStatic(path: string): boolean {
  const fd = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(4096);
    const length = readSync(fd, bytes, 0, bytes.length, 0);
    return (
      length >= 64 &&
      bytes.readUInt32BE(0) === 0x7f454c46 &&
      !segmentTypes(bytes, length).includes(PT_INTERP)
    );
  } finally {
    closeSync(fd);
  }
}

/**
 * p_type of those program headers that are in `bytes`. The host is little-endian wherever Node runs
 * except on s390x.
 */
function segmentTypes(bytes: Buffer, length: number): number[] {
  const wide = bytes[4] === 2;
  const big = bytes[5] === 2;
  const u16 = (at: number) => (big ? bytes.readUInt16BE(at) : bytes.readUInt16LE(at));
  const u32 = (at: number) => (big ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at));
  const start = wide ? u32(big ? 36 : 32) : u32(28);
  const [size, count] = wide ? [u16(54), u16(56)] : [u16(42), u16(44)];
  return Array.from({ length: count }, (_, index) => start + index * size).flatMap((at) =>
    at + 4 <= length ? [u32(at)] : [],
  );
}
