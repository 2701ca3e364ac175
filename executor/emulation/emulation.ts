import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import { mount, unmount } from '../../snapshotter/sys/mount.ts';
import { inUserNamespace } from '../../snapshotter/sys/usernamespace.ts';
import { BINFMT, type Registration, readRegistrations, registerLine, registrationFor } from './binfmt.ts';
import { isStatic, type Machine, machineOf } from './elf.ts';
import { findEmulator, INSTALL_EMULATORS, isEmulator, isNative } from './find-emulator.ts';
import { type EmulationNamespace, openEmulationNamespace } from './namespace.ts';

/**
 * # Steps for another processor
 *
 * Their programs run through QEMU's user-mode emulation, and how the kernel learns of it is one of these, the first that can be had:
 *
 * 1. this host has QEMU registered in binfmt_misc, opened beforehand (flag F): nothing is to be done;
 * 2. a static QEMU is installed, and the kernel (6.7) has a binfmt_misc for each user namespace: the sandbox joins one of ours, in
 *    which all ids are mapped to themselves. Nothing of the host is changed. In such a sandbox no device node can be made;
 *    Where we are in a user namespace already, as for an ordinary user, it is that one's table, while we run;
 * 3. QEMU is registered without the flag F: its file is shown to the sandbox at the path where the kernel looks for it.
 */
export type EmulationPlan =
  | { readonly kind: 'native' }
  | { readonly kind: 'host'; readonly emulator: string; readonly mountEmulator: boolean }
  | { readonly kind: 'private'; readonly emulator: string; readonly userNamespace: string };

export interface Emulation {
  /** How programs for `platform` are to be run. Throws KILN_NO_EMULATION with the command that mends it. */
  plan(platform: Platform): Promise<EmulationPlan>;
  close(): Promise<void>;
}

export interface EmulationOptions {
  /** An emulator that the user has named for an architecture. */
  readonly emulator?: ((architecture: string) => Promise<string | undefined>) | undefined;
  /** Where to look for one: a PATH. */
  readonly searchPath?: string | undefined;
  /** Of the host's own registrations, for tests: where they are to be read, or nowhere. */
  readonly hostTable?: string | undefined;
}

/** `directory` is the process's: ours, and on this host only. */
export function createEmulation(directory: string, options: EmulationOptions): Emulation {
  let opened: Promise<EmulationNamespace | undefined> | undefined;
  let registrations: readonly Registration[] | undefined;
  const plans = new Map<string, Promise<EmulationPlan>>();
  const make = async (platform: Platform, machine: Machine): Promise<EmulationPlan> => {
    registrations ??= hostRegistrations(directory, options.hostTable);
    const host = registrationFor(registrations, machine);
    if (host?.flags.includes('F')) return { kind: 'host', emulator: basename(host.interpreter), mountEmulator: false };
    const emulator = await emulatorFor(platform, machine, options);
    if (emulator !== undefined) {
      const line = registerLine(`kiln-${machine.qemu}`, machine, emulator);
      const own = inUserNamespace();
      const table = await (opened ??= own ? ownTable(directory) : openEmulationNamespace(directory));
      if (table && (await table.register(line)))
        return own
          ? { kind: 'host', emulator: basename(emulator), mountEmulator: false }
          : { kind: 'private', emulator: basename(emulator), userNamespace: table.path };
    }
    if (host && existsSync(host.interpreter) && isStatic(host.interpreter))
      return { kind: 'host', emulator: host.interpreter, mountEmulator: true };
    throw emulator === undefined ? noEmulator(platform, machine) : notRegistered(platform, machine, emulator);
  };
  return {
    async plan(platform) {
      const { os, architecture } = platform;
      if (os === 'linux' && isNative(architecture)) return { kind: 'native' };
      const machine = machineOf(architecture);
      if (os !== 'linux' || !machine) throw foreign(platform);
      let plan = plans.get(architecture);
      if (!plan) plans.set(architecture, (plan = make(platform, machine)));
      return plan;
    },
    async close() {
      await (await opened)?.close();
    },
  };
}

/** The table of the user namespace that we are in: it is there as long as it is mounted, in our mount namespace. */
async function ownTable(directory: string): Promise<EmulationNamespace | undefined> {
  const table = `${directory}/binfmt`;
  mkdirSync(table, { recursive: true, mode: 0o700 });
  try {
    mount('binfmt_misc', table, 'binfmt_misc', 0);
  } catch {
    return undefined;
  }
  return {
    path: '/proc/self/ns/user',
    async register(line) {
      try {
        writeFileSync(`${table}/register`, line);
        return true;
      } catch {
        return false;
      }
    },
    close: async () => unmount(table),
  };
}

/**
 * What the kernel's own table holds; where nobody has mounted it, it is looked at in our own mount namespace. Not in a user namespace: there
 * a mount makes a new table, which hides the one that counted before.
 */
function hostRegistrations(directory: string, table: string | undefined): readonly Registration[] {
  if (table !== undefined) return readRegistrations(table);
  if (existsSync(`${BINFMT}/status`)) return readRegistrations(BINFMT);
  if (inUserNamespace()) return [];
  const looked = `${directory}/binfmt`;
  mkdirSync(looked, { recursive: true, mode: 0o700 });
  try {
    mount('binfmt_misc', looked, 'binfmt_misc', 0);
  } catch {
    // A kernel without it, or no right to look.
    return [];
  }
  try {
    return readRegistrations(looked);
  } finally {
    unmount(looked);
  }
}

async function emulatorFor(platform: Platform, machine: Machine, options: EmulationOptions): Promise<string | undefined> {
  const named = await options.emulator?.(platform.architecture);
  if (named === undefined) return findEmulator(machine, options.searchPath);
  if (isEmulator(named)) return named;
  throw new KilnError('KILN_NO_EMULATION', `${named} is not an emulator that a sandbox could use`, {
    hint: 'name an executable that is statically linked, by a path without blanks and colons',
  });
}

const CROSS = 'a stage FROM --platform=$BUILDPLATFORM runs without, and can compile for TARGETARCH';

function noEmulator(platform: Platform, machine: Machine): KilnError {
  return new KilnError(
    'KILN_NO_EMULATION',
    `steps for ${formatPlatform(platform)} cannot run here: there is no emulator (a static qemu-${machine.qemu})`,
    { hint: INSTALL_EMULATORS, notes: [CROSS] },
  );
}

function notRegistered(platform: Platform, machine: Machine, emulator: string): KilnError {
  const line = registerLine(`qemu-${machine.qemu}`, machine, emulator);
  return new KilnError(
    'KILN_NO_EMULATION',
    `steps for ${formatPlatform(platform)} cannot run here: the kernel is not told of ${emulator}, and has no binfmt_misc of our own to offer`,
    {
      hint: `tell it once, as root on the host: mountpoint -q ${BINFMT} || mount -t binfmt_misc binfmt_misc ${BINFMT}; printf %s '${line}' > ${BINFMT}/register`,
      notes: [CROSS],
    },
  );
}

function foreign(platform: Platform): KilnError {
  return new KilnError('KILN_NO_EMULATION', `steps for ${formatPlatform(platform)} cannot run here: nothing emulates it`, {
    hint: 'let stages for it only COPY and ADD what other stages make',
  });
}
