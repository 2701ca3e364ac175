import { KilnError } from '../../../base/errors.ts';
import { CACHE_SHARING, enumName, MOUNT_TYPE, NET_MODE, SECURITY_MODE } from '../../llb/enums.ts';
import type { ExecOp } from '../../llb/ops.ts';
import { allowedDevices } from './devices.ts';
import { outputOf } from './mounts.ts';

/** What a build may do beyond the sandbox: BuildKit's names. */
export type Entitlement = 'network.host' | 'security.insecure';

/**
 * The one gate that every process of a graph passes. A graph may come from outside: every index and
 * every number that stands for a mode is checked, and an unknown one refused rather than taken for
 * the default. Throws KILN_GRAPH_INVALID or KILN_NOT_ALLOWED.
 */
export function checkExec(op: ExecOp, inputCount: number, allowed: ReadonlySet<string>): void {
  if (!isWhole(op, inputCount))
    throw new KilnError(
      'KILN_GRAPH_INVALID',
      'the build graph has a process with mounts that cannot be',
    );
  if (!isOneOf(NET_MODE, op.network) || !isOneOf(SECURITY_MODE, op.security)) {
    throw new KilnError(
      'KILN_GRAPH_INVALID',
      `the build graph has a process with network ${op.network} and security ${op.security}`,
      {
        hint: 'it was made for a newer builder',
      },
    );
  }
  allowedDevices(op, allowed);
  if (op.network === NET_MODE.host) mustAllow('network.host', allowed);
  if (op.security === SECURITY_MODE.insecure) mustAllow('security.insecure', allowed);
}

function mustAllow(entitlement: Entitlement, allowed: ReadonlySet<string>): void {
  if (allowed.has(entitlement)) return;
  throw new KilnError(
    'KILN_NOT_ALLOWED',
    `a step asks for ${entitlement}, which this build is not allowed`,
    {
      hint: `if you trust the Dockerfile, build with --allow ${entitlement}`,
    },
  );
}

function isWhole(op: ExecOp, inputCount: number): boolean {
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
