/**
 * For tests: runs a compiled seccomp filter as the kernel does (classic BPF over struct
 * seccomp_data, seccomp(2)). So a test can ask what a filter says of a call on another processor.
 * Works for little-endian processors.
 */

export interface FilterArchitecture {
  /** AUDIT_ARCH_* of linux/audit.h. x32 is x86-64 with other call numbers. */
  readonly audit: number;
  /** The name that libseccomp uses. */
  readonly token: string;
}

export const FILTER_ARCHITECTURES: Readonly<Record<string, FilterArchitecture>> = {
  SCMP_ARCH_X86_64: { audit: 0xc000003e, token: 'x86_64' },
  SCMP_ARCH_X86: { audit: 0x40000003, token: 'x86' },
  SCMP_ARCH_X32: { audit: 0xc000003e, token: 'x32' },
  SCMP_ARCH_AARCH64: { audit: 0xc00000b7, token: 'aarch64' },
  SCMP_ARCH_ARM: { audit: 0x40000028, token: 'arm' },
  SCMP_ARCH_RISCV64: { audit: 0xc00000f3, token: 'riscv64' },
  SCMP_ARCH_PPC64LE: { audit: 0xc0000015, token: 'ppc64le' },
};

export interface FilteredCall {
  readonly number: number;
  readonly args?: readonly bigint[];
}

/** The filter's answer to a call: the errno when the call is refused. */
export function verdict(
  program: Buffer,
  { audit }: FilterArchitecture,
  call: FilteredCall,
): 'allow' | 'kill' | number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call.number, 0);
  data.writeUInt32LE(audit, 4);
  for (const [at, arg] of (call.args ?? []).entries()) data.writeBigUInt64LE(arg, 16 + 8 * at);
  const returned = run(program, data);
  if (returned === 0x7fff0000) return 'allow';
  return returned >>> 16 === 0x0005 ? returned & 0xffff : 'kill';
}

const JUMPS: Readonly<Record<number, (accumulator: number, k: number) => boolean>> = {
  21: (accumulator, k) => accumulator === k,
  37: (accumulator, k) => accumulator > k,
  53: (accumulator, k) => accumulator >= k,
};
const LOAD = 0x20;
const AND = 0x54;
const ALWAYS = 0x05;
const RETURN = 0x06;

function run(program: Buffer, data: Buffer): number {
  let accumulator = 0;
  for (let at = 0; ; at += 8) {
    if (at >= program.length) throw new Error('the filter runs past its end');
    const code = program.readUInt16LE(at);
    const k = program.readUInt32LE(at + 4);
    const jump = JUMPS[code];
    if (code === RETURN) return k;
    if (code === LOAD) accumulator = data.readUInt32LE(k);
    else if (code === AND) accumulator = (accumulator & k) >>> 0;
    else if (code === ALWAYS) at += 8 * k;
    else if (jump) at += 8 * program[at + (jump(accumulator, k) ? 2 : 3)]!;
    else throw new Error(`an instruction that libseccomp does not write: ${code.toString(16)}`);
  }
}
