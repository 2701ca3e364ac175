import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { isAtLeast } from '../../base/versions.ts';
import { BINFMT, readRegistrations, registrationFor } from './binfmt.ts';
import { ARCHITECTURES, machineOf } from './elf.ts';
import { findEmulator, isNative } from './find-emulator.ts';

/** The first version of Linux that has a binfmt_misc table for each user namespace. */
export const PRIVATE_BINFMT = '6.7';

/** Emulators for other architectures, by OCI's names of these. */
export interface FoundEmulators {
  /** Architectures whose emulator is registered with the kernel (binfmt_misc). */
  readonly registered: readonly string[];
  /** Architectures whose emulator is installed. */
  readonly installed: readonly string[];
  /** Whether binfmt_misc is mounted. */
  readonly isTableMounted: boolean;
}

/** Finds the emulators that a step for another architecture could use on this host. */
export function foundEmulators(): FoundEmulators {
  const registrations = readRegistrations(BINFMT);
  const foreign = ARCHITECTURES.filter((name) => !isNative(name));
  const those = (has: (machine: NonNullable<ReturnType<typeof machineOf>>) => unknown) =>
    foreign.filter((name) => {
      const machine = machineOf(name);
      return machine !== undefined && Boolean(has(machine));
    });
  return {
    registered: those((machine) => registrationFor(registrations, machine)),
    installed: those((machine) => findEmulator(machine)),
    isTableMounted: existsSync(join(BINFMT, 'status')),
  };
}

/** The architectures whose programs steps can run here, natively first. */
export function runnableArchitectures(): readonly string[] {
  const { registered, installed } = foundEmulators();
  const emulated = isAtLeast(release(), PRIVATE_BINFMT) ? installed : [];
  return [
    ...new Set([...ARCHITECTURES.filter((name) => isNative(name)), ...registered, ...emulated]),
  ];
}
