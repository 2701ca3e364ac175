import { capabilitySet } from '../snapshotter/sys/capabilities.ts';

/** Docker's default capabilities. */
export const DEFAULT_CAPABILITIES: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
];

/** The default capabilities that this process has and so can give. */
export function sandboxCapabilities(guardDevices: boolean): readonly string[] {
  const possible = new Set(hostCapabilities());
  if (guardDevices) possible.delete('CAP_MKNOD');
  return DEFAULT_CAPABILITIES.filter((name) => possible.has(name));
}

/** In the order of their numbers in capability.h. */
const ALL_CAPABILITIES =
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP ' +
  'LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST ' +
  'NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE ' +
  'SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE ' +
  'SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP ' +
  'MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM ' +
  'BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE';

let host: readonly string[] | undefined;

/**
 * Every capability that this process has and so can give: all of them for `--security=insecure`.
 */
export function hostCapabilities(): readonly string[] {
  if (host) return host;
  const bounding = capabilitySet('CapBnd');
  host = ALL_CAPABILITIES.split(' ')
    .filter((_, bit) => (bounding >> BigInt(bit)) & 1n)
    .map((name) => `CAP_${name}`);
  return host;
}
