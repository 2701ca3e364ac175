import { KilnError } from '../../../base/errors.ts';
import { enumName, NET_MODE, SECURITY_MODE } from '../../llb/enums.ts';
import type { ExecOp } from '../../llb/exec-op.ts';
import { CACHE_SHARING, MOUNT_TYPE } from '../../llb/mount.ts';
import { allowedDevices } from './devices.ts';
import { outputOf } from './opening.ts';

/** A right that a step needs and the command line must allow, with BuildKit's name. */
export type Entitlement = 'network.host' | 'security.insecure';

/**
 * Checks an exec op before anything runs. A graph may come from outside, so every index and enum
 * number is checked, and an unknown one is refused and not read as the default. Throws
 * KILN_GRAPH_INVALID.
 */
export function checkExec(op: ExecOp, inputCount: number): void {
  if (!hasValidMounts(op, inputCount))
    throw new KilnError('KILN_GRAPH_INVALID', 'the build graph has a process with invalid mounts');
  if (!isOneOf(NET_MODE, op.network) || !isOneOf(SECURITY_MODE, op.security)) {
    throw new KilnError(
      'KILN_GRAPH_INVALID',
      `the build graph has a process with network ${op.network} and security ${op.security}`,
      {
        hint: 'the graph was probably made for a newer builder',
      },
    );
  }
}

/** Throws KILN_NOT_ALLOWED when a process needs an entitlement or device not in `allowed`. */
export function checkAllowed(op: ExecOp, allowed: ReadonlySet<string>): void {
  allowedDevices(op, allowed);
  if (op.network === NET_MODE.host) mustAllow('network.host', allowed);
  if (op.security === SECURITY_MODE.insecure) mustAllow('security.insecure', allowed);
}

function mustAllow(entitlement: Entitlement, allowed: ReadonlySet<string>): void {
  if (allowed.has(entitlement)) return;
  throw new KilnError('KILN_NOT_ALLOWED', `${entitlement} is not allowed, and a step needs it`, {
    hint: `if you trust the Dockerfile, build with --allow ${entitlement}`,
  });
}

/** True if all indexes and numbers are valid and exactly one mount is the root. */
function hasValidMounts(op: ExecOp, inputCount: number): boolean {
  const outputs = op.mounts.map(outputOf).filter((output) => output !== -1);
  return (
    op.mounts.every(({ input }) => isIndex(input, inputCount) || input === -1) &&
    op.mounts.every(
      ({ mountType = MOUNT_TYPE.bind, cache }) =>
        isOneOf(MOUNT_TYPE, mountType) &&
        isOneOf(CACHE_SHARING, cache?.sharing ?? CACHE_SHARING.shared),
    ) &&
    outputs.every((output) => isIndex(output, outputs.length)) &&
    new Set(outputs).size === outputs.length &&
    op.mounts.filter(({ dest }) => dest === '/').length === 1 &&
    op.mounts.every(
      ({ dest, mountType = MOUNT_TYPE.bind }) => dest !== '/' || mountType === MOUNT_TYPE.bind,
    )
  );
}

function isOneOf(numbers: Readonly<Record<string, number>>, number: number): boolean {
  return enumName(numbers, number) !== undefined;
}

function isIndex(value: number, count: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < count;
}
