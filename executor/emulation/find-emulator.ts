import { spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { arch, tmpdir } from 'node:os';
import { join } from 'node:path';
import { elfHeader, isStatic, type Machine, machineOf } from './elf.ts';

const DEFAULT_PATH =
  '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec/qemu-binfmt';

/**
 * Finds a static user-mode QEMU for `machine` on this host: `qemu-aarch64-static`, or a
 * `qemu-aarch64` that is static as well.
 */
export function findEmulator(
  machine: Machine,
  searchPath: string = DEFAULT_PATH,
): string | undefined {
  const directories = searchPath.split(':').filter((directory) => directory.startsWith('/'));
  return [`qemu-${machine.qemu}-static`, `qemu-${machine.qemu}`]
    .flatMap((name) => directories.map((directory) => `${directory}/${name}`))
    .find(isEmulator);
}

/**
 * True for a path that can be registered: executable, static, and without characters that would end
 * it in a registration.
 */
export function isEmulator(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return !/[:\s]/.test(path) && isStatic(path);
  } catch {
    return false;
  }
}

/** OCI's name of the architecture this process runs on. */
function hostArchitecture(): string {
  const name = arch();
  return name === 'x64' ? 'amd64' : name === 'ia32' ? '386' : name;
}

/** Architectures whose programs this host's processor runs natively. */
export function isNative(architecture: string, host = hostArchitecture()): boolean {
  if (architecture === host || machineOf(architecture) === undefined) return architecture === host;
  if (host === 'amd64') return architecture === '386';
  return host === 'arm64' && architecture === 'arm' && runsArm();
}

/**
 * Not every 64-bit ARM processor and kernel still runs 32-bit programs. Running one that does
 * nothing shows it.
 */
function runsArm(): boolean {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-arm-'));
  try {
    const path = join(directory, 'nothing');
    writeFileSync(path, armProgram(), { mode: 0o700 });
    return spawnSync(path, { stdio: 'ignore', timeout: 5000 }).status === 0;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A complete 32-bit ARM program: `exit(0)`. */
export function armProgram(): Buffer {
  const code = [0xe3a00000, 0xe3a07001, 0xef000000];
  const [header, segment] = [52, 32];
  const size = header + segment + 4 * code.length;
  const base = 0x10000;
  const program = Buffer.alloc(size);
  elfHeader(machineOf('arm')!).copy(program);
  const words: readonly [number, number][] = [
    [20, 1],
    [24, base + header + segment],
    [28, header],
    // EABI version 5.
    [36, 0x05000000],
    // One segment, which is the whole file, readable and executable.
    ...[1, 0, base, base, size, size, 5, 0x1000].map((word, at): [number, number] => [
      header + 4 * at,
      word,
    ]),
    ...code.map((word, at): [number, number] => [header + segment + 4 * at, word]),
  ];
  for (const [at, word] of words) program.writeUInt32LE(word, at);
  for (const [at, half] of [
    [40, header],
    [42, segment],
    [44, 1],
  ] as const)
    program.writeUInt16LE(half, at);
  return program;
}
