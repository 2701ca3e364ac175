import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import { mount, unmount } from '../../snapshotter/sys/mount.ts';
import { inUserNamespace } from '../../snapshotter/sys/usernamespace.ts';
import { installCommand } from '../probe.ts';
import {
  BINFMT,
  type Registration,
  readRegistrations,
  registerLine,
  registrationFor,
} from './binfmt.ts';
import { isStatic, type Machine, machineOf } from './elf.ts';
import { findEmulator, isEmulator, isNative } from './find-emulator.ts';
import { type EmulationNamespace, openEmulationNamespace } from './namespace.ts';

/**
 * # Steps for another processor
 *
 * Their programs run through QEMU's user-mode emulation. The kernel must know of QEMU, and the
 * first of these ways that works is used:
 *
 * 1. This host has QEMU registered in binfmt_misc and opened beforehand (flag F). Nothing must be
 *   done.
 * 2. A static QEMU is installed, and the kernel (6.7) has a binfmt_misc for each user namespace.
 *   The sandbox joins a user namespace of Kiln's, in which all ids are mapped to themselves.
 *   Nothing of the host is changed. Device nodes cannot be made in such a sandbox. When this
 *   process is already in a user namespace, as for an ordinary user, the table of that namespace is
 *   used while Kiln runs.
 * 3. QEMU is registered without the flag F. The sandbox sees its file at the path where the kernel
 *   looks for it.
 */
export type EmulationPlan =
  | { readonly kind: 'native' }
  | { readonly kind: 'host'; readonly emulator: string; readonly mountEmulator: boolean }
  | { readonly kind: 'private'; readonly emulator: string; readonly userNamespace: string };

export interface Emulation {
  /**
   * How programs for `platform` are run. Throws KILN_NO_EMULATION with a command that solves it.
   */
  plan(platform: Platform): Promise<EmulationPlan>;
  close(): Promise<void>;
}

export interface EmulationOptions {
  /** The emulator that the user has configured for an architecture. */
  readonly emulator?: ((architecture: string) => Promise<string | undefined>) | undefined;
  /** A PATH on which to look for an emulator. */
  readonly searchPath?: string | undefined;
  /** For tests: the directory of the host's own registrations, or nothing. */
  readonly hostTable?: string | undefined;
}

/** `directory` belongs to this process, and exists on this host only. */
export function createEmulation(directory: string, options: EmulationOptions): Emulation {
  let opened: Promise<EmulationNamespace | undefined> | undefined;
  let registrations: readonly Registration[] | undefined;
  const plans = new Map<string, Promise<EmulationPlan>>();
  const make = async (platform: Platform, machine: Machine): Promise<EmulationPlan> => {
    registrations ??= hostRegistrations(directory, options.hostTable);
    const host = registrationFor(registrations, machine);
    if (host?.flags.includes('F'))
      return { kind: 'host', emulator: basename(host.interpreter), mountEmulator: false };
    const emulator = await emulatorFor(platform, machine, options);
    if (emulator !== undefined) {
      const line = registerLine(`kiln-${machine.qemu}`, machine, emulator);
      const own = inUserNamespace();
      const table = await (opened ??= own
        ? ownTable(directory)
        : openEmulationNamespace(directory));
      if (table && (await table.register(line)))
        return own
          ? { kind: 'host', emulator: basename(emulator), mountEmulator: false }
          : { kind: 'private', emulator: basename(emulator), userNamespace: table.path };
    }
    if (host && existsSync(host.interpreter) && isStatic(host.interpreter))
      return { kind: 'host', emulator: host.interpreter, mountEmulator: true };
    throw emulator === undefined
      ? noEmulator(platform, machine)
      : notRegistered(platform, machine, emulator);
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

/**
 * The table of this process's own user namespace. It exists as long as it is mounted in this
 * process's mount namespace.
 */
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
 * The registrations in the kernel's own table. Where it is not mounted, it is mounted in the
 * private mount namespace. This is not done in a user namespace: a mount there makes a new table,
 * which hides the one that counted before.
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
    // The kernel lacks binfmt_misc, or this process may not see it.
    return [];
  }
  try {
    return readRegistrations(looked);
  } finally {
    unmount(looked);
  }
}

async function emulatorFor(
  platform: Platform,
  machine: Machine,
  options: EmulationOptions,
): Promise<string | undefined> {
  const named = await options.emulator?.(platform.architecture);
  if (named === undefined) return findEmulator(machine, options.searchPath);
  if (isEmulator(named)) return named;
  throw new KilnError('KILN_NO_EMULATION', `${named} is not an emulator that a sandbox can use`, {
    hint: 'name a statically linked executable by a path without blanks and colons',
  });
}

const CROSS =
  'a stage FROM --platform=$BUILDPLATFORM needs no emulator, and can compile for TARGETARCH';

function noEmulator(platform: Platform, machine: Machine): KilnError {
  return new KilnError(
    'KILN_NO_EMULATION',
    `steps for ${formatPlatform(platform)} cannot run here: no emulator is installed (a ` +
      `static qemu-${machine.qemu})`,
    { hint: installCommand(EMULATORS), notes: [CROSS] },
  );
}

function notRegistered(platform: Platform, machine: Machine, emulator: string): KilnError {
  const line = registerLine(`qemu-${machine.qemu}`, machine, emulator);
  return new KilnError(
    'KILN_NO_EMULATION',
    `steps for ${formatPlatform(platform)} cannot run here: ${emulator} is not registered, ` +
      'and this kernel has no binfmt_misc for each user namespace',
    {
      hint:
        `register it once, as root on the host: mountpoint -q ${BINFMT} || mount -t ` +
        `binfmt_misc binfmt_misc ${BINFMT}; printf %s '${line}' > ${BINFMT}/register`,
      notes: [CROSS],
    },
  );
}

function foreign(platform: Platform): KilnError {
  return new KilnError(
    'KILN_NO_EMULATION',
    `steps for ${formatPlatform(platform)} cannot run here: it has no emulator`,
    {
      hint: 'in stages for that platform, only COPY and ADD files of other stages',
    },
  );
}

/** The packages that bring emulators. */
const EMULATORS = { apt: 'qemu-user-static', dnf: 'qemu-user-static', apk: 'qemu-aarch64' };
