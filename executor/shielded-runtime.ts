import { closeSync, openSync, readSync } from 'node:fs';
import { MOUNT_ATTR } from '../snapshotter/sys/constants.ts';
import type { SpawnOptions } from '../snapshotter/sys/launch.ts';
import { changeMount, cloneMount, type DetachedMount } from '../snapshotter/sys/mount.ts';
import type { FoundRuntime } from './probe.ts';

/** How the runtime is started. */
export type RuntimeProgram = Pick<SpawnOptions, 'path' | 'name' | 'env'>;

/** How a program begins that the kernel runs without an interpreter (elf(5)). */
const ELF = Buffer.from('\x7fELF');

/** The whole environment that a runtime gets. */
const ENVIRONMENT = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'];

/**
 * crun takes this as a promise of whoever starts it, and believes it only of a program on a
 * read-only mount.
 */
const IS_SHIELDED = '_LIBCONTAINER_CLONED_BINARY=1';

/**
 * The runtime on a read-only mount that no sandbox can reach otherwise: a sandbox may not overwrite
 * the program that runs on the host (CVE-2019-5736). Without it, crun makes such a mount for itself
 * and starts again from there, at every step: 1.4 of 7 ms of its processor time (2-core VM,
 * 2026-11). runc protects itself in ways of its own. Disposal removes the mount.
 */
export function shieldedRuntime({ name, path }: FoundRuntime): RuntimeProgram & Disposable {
  const mount = name === 'crun' && isBinary(path) ? readOnly(path) : undefined;
  const program: RuntimeProgram = mount
    ? { path: `/proc/self/fd/${mount.fd}`, name: path, env: [...ENVIRONMENT, IS_SHIELDED] }
    : { path, env: ENVIRONMENT };
  return { ...program, [Symbol.dispose]: () => mount?.[Symbol.dispose]() };
}

/** A script is found again by its path, which the mount has none of. */
function isBinary(path: string): boolean {
  const start = Buffer.alloc(ELF.length);
  const fd = openSync(path, 'r');
  try {
    return readSync(fd, start) === ELF.length && start.equals(ELF);
  } finally {
    closeSync(fd);
  }
}

/** Undefined where the kernel makes no such mount. crun then makes its own, or copies itself. */
function readOnly(path: string): DetachedMount | undefined {
  let mount: DetachedMount | undefined;
  try {
    mount = cloneMount(path);
    changeMount(mount.fd, { set: MOUNT_ATTR.RDONLY });
    return mount;
  } catch {
    mount?.[Symbol.dispose]();
    return undefined;
  }
}
