import type { Platform } from '../../../base/platform.ts';
import type { KeyPart } from '../../../cache/cache.ts';
import { contentIndex } from '../../../cache/explain/contentindex.ts';
import type { ExecOp } from '../../llb/exec-op.ts';
import type { Mount } from '../../llb/mount.ts';
import type { BuildResult } from '../../result.ts';
import type { InputKey } from '../../solver.ts';
import type { StepSession } from '../../step-session.ts';
import type { World } from '../../world.ts';
import { openTreeOf } from '../file/tree.ts';
import { mountTypeName, STEP_MOUNTS } from './mount-types.ts';
import { outputOf } from './opening.ts';

/**
 * The key parts of a process. Not part of the key are:
 *
 * - proxies, which must not change a result;
 * - the bytes of secrets and the keys of ssh agents, which change independently of the build (see
 *   `secretParts`);
 * - addresses of extra hosts (as in BuildKit);
 * - resource limits and the names shown to the user.
 */
export function keyParts(op: ExecOp, platform: Platform | undefined): KeyPart[] {
  const { meta } = op;
  return [
    // The command with its shell.
    { name: 'command', value: JSON.stringify(meta.args) },
    // Each variable is a part, so that the explanation of a miss can name the one that changed.
    ...meta.env.map((entry) => ({ name: `environment ${entry.split('=', 1)[0]}`, value: entry })),
    { name: 'working directory', value: meta.cwd },
    { name: 'user', value: meta.user ?? '' },
    { name: 'hostname', value: meta.hostname ?? '' },
    { name: 'extra hosts', value: JSON.stringify((meta.extraHosts ?? []).map(({ host }) => host)) },
    { name: 'valid exit codes', value: JSON.stringify(meta.validExitCodes ?? []) },
    { name: 'network', value: String(op.network) },
    { name: 'security', value: String(op.security) },
    // Where each mount is and how it is mounted. What is in it counts by the keys of the inputs.
    ...op.mounts.map((mount, index) => ({
      name: `mount ${mount.dest}`,
      value: JSON.stringify([index, mountIdentity(mount)]),
    })),
    // The ids and names of secrets in the environment, never their values.
    {
      name: 'secret variables',
      value: JSON.stringify(
        (op.secretenv ?? []).map(({ id, name, optional }) => [id, name, optional]),
      ),
    },
    {
      name: 'devices',
      value: JSON.stringify((op.cdiDevices ?? []).map(({ name, optional }) => [name, optional])),
    },
    // The same command gives another result on another architecture.
    {
      name: 'platform',
      value: platform
        ? [
            platform.os,
            platform.architecture,
            platform.variant ?? '',
            platform.osVersion ?? '',
          ].join('/')
        : '',
    },
  ];
}

function mountIdentity(mount: Mount): unknown {
  return [
    mountTypeName(mount),
    mount.input,
    mount.dest,
    outputOf(mount),
    mount.readonly ?? false,
    ...Object.values(STEP_MOUNTS)
      .map(({ counts }) => counts(mount))
      .filter((counted) => counted !== undefined),
  ];
}

/**
 * One key part for each secret whose mark the session gives (`StepSession.secretMark`): another
 * secret makes the step run again.
 */
export async function secretParts(op: ExecOp, { secretMark }: StepSession): Promise<KeyPart[]> {
  if (!secretMark) return [];
  const ids = [
    ...op.mounts.flatMap(({ secret }) => (secret ? [secret.id] : [])),
    ...(op.secretenv ?? []).map(({ id }) => id),
  ];
  const parts: KeyPart[] = [];
  for (const id of [...new Set(ids)].sort()) {
    const mark = await secretMark(id);
    if (mark !== undefined) parts.push({ name: `secret ${id}`, value: mark });
  }
  return parts;
}

/**
 * How the inputs count in the key. The root and every mount that becomes an output count by
 * definition. An input whose mounts are only read counts by the content below their source paths.
 */
export function inputKeys(
  op: ExecOp,
  inputCount: number,
  world: Pick<World, 'snapshotter' | 'hasher'>,
  session: StepSession,
): InputKey<BuildResult>[] {
  return Array.from({ length: inputCount }, (_, input) => {
    const mounts = op.mounts.filter((mount) => mount.input === input);
    const byContent =
      mounts.length > 0 &&
      mounts.every(
        (mount) =>
          mount.dest !== '/' &&
          outputOf(mount) === -1 &&
          STEP_MOUNTS[mountTypeName(mount)].onlyReads,
      );
    if (!byContent) return { by: 'definition' };
    const sources = [...new Set(mounts.map((mount) => mount.selector || '/'))].sort();
    return {
      by: 'content',
      selector: JSON.stringify(sources),
      digest: async (result, signal) => {
        await using scope = new AsyncDisposableStack();
        const tree = await openTreeOf(result, world.snapshotter, scope);
        const read = await world
          .hasher(session)
          .read(tree, { paths: sources, wildcard: false, followLinks: true }, signal);
        const { digest } = read;
        return {
          digest,
          parts: [{ name: `content of ${sources.join(' ')}`, value: digest }],
          index: () => contentIndex([read]),
        };
      },
    };
  });
}
