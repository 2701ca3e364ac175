/**
 * For tests: tiny static programs, assembled from machine code so that no compiler is needed. They
 * make system calls and write each result to standard output as a 32-bit little-endian number.
 */

/**
 * A system call by number. An argument that is a list stands for the address of these words in
 * memory.
 */
export interface MadeCall {
  readonly number: number;
  readonly args: readonly (bigint | readonly number[])[];
}

const BASE = 0x400000;
const WORDS = 0x800;

/** A program for i386: its calls use `int 0x80`, and its ELF header is of the 32-bit class. */
export function program32(calls: readonly MadeCall[]): Buffer {
  const memory = new Memory();
  const code = calls.map(({ number, args }) => {
    const registers = [0xbb, 0xb9, 0xba, 0xbe, 0xbf];
    const moves = args.map((arg, at) =>
      Buffer.concat([Buffer.of(registers[at]!), word(memory.valueOf(arg))]),
    );
    return Buffer.concat([
      ...moves,
      Buffer.concat([Buffer.of(0xb8), word(BigInt(number)), Buffer.of(0xcd, 0x80)]),
      // push eax; mov ecx, esp; mov ebx, 1; mov edx, 4; mov eax, 4 (write); int 0x80
      Buffer.from('5089e1bb01000000ba04000000b804000000cd80', 'hex'),
    ]);
  });
  // xor ebx, ebx; mov eax, 1 (exit); int 0x80
  const exit = Buffer.from('31dbb801000000cd80', 'hex');
  const header = Buffer.alloc(52 + 32);
  header.write('\x7fELF\x01\x01\x01', 'latin1');
  header.writeUInt32LE(2 | (3 << 16), 16);
  for (const [at, value] of [1, BASE + header.length, 52, 0, 0].entries())
    header.writeUInt32LE(value, 20 + 4 * at);
  for (const [at, value] of [52, 32, 1].entries()) header.writeUInt16LE(value, 40 + 2 * at);
  const body = memory.after(Buffer.concat([header, ...code, exit]));
  for (const [at, value] of [1, 0, BASE, BASE, body.length, body.length, 7, 0x1000].entries())
    body.writeUInt32LE(value, 52 + 4 * at);
  return body;
}

/** A program for x86-64. */
export function program64(calls: readonly MadeCall[]): Buffer {
  const memory = new Memory();
  const code = calls.map(({ number, args }) => {
    const registers = ['48bf', '48be', '48ba'];
    const moves = args.map((arg, at) =>
      Buffer.concat([Buffer.from(registers[at]!, 'hex'), long(memory.valueOf(arg))]),
    );
    return Buffer.concat([
      ...moves,
      Buffer.concat([Buffer.of(0xb8), word(BigInt(number)), Buffer.of(0x0f, 0x05)]),
      // push rax; mov rsi, rsp; mov edx, 4; mov edi, 1; mov eax, 1 (write); syscall
      Buffer.from('504889e6ba04000000bf01000000b8010000000f05', 'hex'),
    ]);
  });
  // xor edi, edi; mov eax, 60 (exit); syscall
  const exit = Buffer.from('31ffb83c0000000f05', 'hex');
  const header = Buffer.alloc(64 + 56);
  header.write('\x7fELF\x02\x01\x01', 'latin1');
  header.writeUInt32LE(2 | (62 << 16), 16);
  header.writeUInt32LE(1, 20);
  for (const [at, value] of [BASE + header.length, 64, 0].entries())
    header.writeBigUInt64LE(BigInt(value), 24 + 8 * at);
  for (const [at, value] of [64, 56, 1].entries()) header.writeUInt16LE(value, 52 + 2 * at);
  const body = memory.after(Buffer.concat([header, ...code, exit]));
  body.writeUInt32LE(1, 64);
  body.writeUInt32LE(7, 68);
  for (const [at, value] of [0, BASE, BASE, body.length, body.length, 0x1000].entries())
    body.writeBigUInt64LE(BigInt(value), 72 + 8 * at);
  return body;
}

/** The results that a program wrote. */
export function results(output: Uint8Array): readonly number[] {
  const bytes = Buffer.from(output);
  return Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readInt32LE(4 * at));
}

/** The words that calls point to, at a fixed address behind the code. */
class Memory {
  readonly #parts: Buffer[] = [];
  #size = 0;

  valueOf(arg: bigint | readonly number[]): bigint {
    if (typeof arg === 'bigint') return arg;
    const words = Buffer.concat([...arg.map((value) => word(BigInt(value))), Buffer.alloc(16)]);
    this.#parts.push(words);
    this.#size += words.length;
    return BigInt(BASE + WORDS + this.#size - words.length);
  }

  after(code: Buffer): Buffer {
    if (code.length > WORDS) throw new Error('too many calls for one program');
    return Buffer.concat([code, Buffer.alloc(WORDS - code.length), ...this.#parts]);
  }
}

function word(value: bigint): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(Number(BigInt.asUintN(32, value)));
  return bytes;
}

function long(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes;
}
