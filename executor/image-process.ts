import { DEFAULT_PATH, type ImageConfig } from '../base/oci.ts';
import type { ProcessSpec } from './executor.ts';

/**
 * Returns the spec of a process over `rootfs`, the mounted tree of an image, with what the config
 * of the image says: environment, working directory, user and platform.
 */
export function imageProcess(
  rootfs: string,
  { config = {}, os, architecture }: ImageConfig,
): Omit<ProcessSpec, 'args' | 'network'> {
  const env = config.Env ?? [];
  return {
    rootfs,
    env: env.some((entry) => entry.startsWith('PATH=')) ? env : [...env, DEFAULT_PATH],
    cwd: config.WorkingDir || '/',
    user: config.User ?? '',
    hostname: 'kiln',
    security: 'sandbox',
    mounts: [],
    extraHosts: [],
    ulimits: [],
    shmSize: 0,
    cgroupParent: '',
    readonlyRootfs: false,
    platform: { os, architecture },
  };
}
