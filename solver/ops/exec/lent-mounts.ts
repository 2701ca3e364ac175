import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KilnError } from '../../../base/errors.ts';
import { fchownat } from '../../../snapshotter/sys/calls.ts';
import { AT } from '../../../snapshotter/sys/constants.ts';
import type { LentOptions, Mount } from '../../llb/mount.ts';
import type { OpenedMount, Opening, StepUser } from './opening.ts';
import { secretMissing } from './secret-missing.ts';

const PLAIN: LentOptions = { id: '', uid: 0, gid: 0, mode: 0, optional: false };

/** A file with a secret. Undefined if it is optional and was not given. */
export async function openSecret(
  mount: Mount,
  { session, world, scope }: Opening,
  user: StepUser,
): Promise<OpenedMount | undefined> {
  const { id, optional, ...access } = mount.secret ?? { ...PLAIN, mode: 0o400 };
  const bytes = await session.secret(id);
  if (!bytes) {
    if (optional) return undefined;
    throw secretMissing(id);
  }
  const { uid, gid } = ownerOf(access, user);
  const source = join(scope.use(world.secretDirectory()).path, 'secret');
  writeFileSync(source, bytes, { mode: 0o600 });
  fchownat(AT.FDCWD, source, uid, gid);
  chmodSync(source, access.mode & 0o777);
  return { spec: { kind: 'bind', source, target: mount.dest, readonly: true } };
}

/** The socket of an ssh agent. Undefined if it is optional and was not given. */
export async function openSsh(
  mount: Mount,
  { session, scope }: Opening,
  user: StepUser,
): Promise<OpenedMount | undefined> {
  const { id, optional, ...access } = mount.ssh ?? { ...PLAIN, mode: 0o600 };
  const name = id || 'default';
  const agent = await session.sshSocket(name, { ...ownerOf(access, user), mode: access.mode });
  if (agent) {
    const { socket } = scope.use(agent);
    return { spec: { kind: 'bind', source: socket, target: mount.dest, readonly: true } };
  }
  if (optional) return undefined;
  throw new KilnError(
    'KILN_SSH_AGENT',
    `the step has no SSH key ${JSON.stringify(name)}: unset ssh forward key ${name}`,
    {
      hint:
        `build with --ssh ${name} for the agent of SSH_AUTH_SOCK, or --ssh ${name}=PATH for ` +
        'a socket or a key',
    },
  );
}

/**
 * The owner of a secret or a socket. One that is not given (0 in the graph) is the user of the
 * step: otherwise a step with USER could not read its own secret. Root can read it in any case.
 */
function ownerOf(
  { uid, gid }: { readonly uid: number; readonly gid: number },
  user: StepUser,
): { uid: number; gid: number } {
  return { uid: uid || user().uid, gid: gid || user().gid };
}
