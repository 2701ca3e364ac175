import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { type Ran, Rig, ROOT, run, testImage } from './rig.ts';

/*
 * # Tests as an ordinary user
 *
 * The user is not in /etc/passwd of this host. Each command runs in a mount namespace in which
 * /etc/passwd, /etc/subuid and /etc/subgid are replaced, because newuidmap reads them.
 */

/** The user ID of that user, and the group ID. */
export const UID = 4321;

/** Makes a rig of the user: a copy of Kiln, a context `c`, the archive of an image, a home. */
export async function prepared(dockerfile: string, image = 'busybox'): Promise<Rig> {
  const rig = await Rig.create();
  for (const [from, to] of [
    ['kiln', 'bin/kiln'],
    ['dist', 'bin/dist'],
    ['node_modules/@koromix', 'bin/node_modules/@koromix'],
  ] as const)
    cpSync(join(ROOT, from), rig.path(to), { recursive: true, dereference: true });
  cpSync(process.execPath, rig.path('bin/node'));
  cpSync(testImage(image), rig.path(`${image}.tar`));
  rig.write('c', { Dockerfile: dockerfile, 'a.txt': 'a' });
  execFileSync(
    'sh',
    [
      '-c',
      'mkdir t && touch t/x && chown 5:6 t/x && tar -cf c/a.tar -C t x && rm -r t && mkdir home',
    ],
    {
      cwd: rig.directory,
    },
  );
  writeFileSync(rig.path('subids'), `kiln:200000:65536\n`);
  writeFileSync(
    rig.path('passwd'),
    `${readFileSync('/etc/passwd', 'utf8')}kiln:x:${UID}:${UID}::${rig.path('home')}:/bin/sh\n`,
  );
  execFileSync('chown', ['-R', `${UID}:${UID}`, rig.directory]);
  return rig;
}

/** Runs Kiln as the user, with or without subordinate IDs. */
export function asUser(rig: Rig, ids: 'with ids' | 'without ids', ...args: string[]): Promise<Ran> {
  return commandAsUser(rig, ids, rig.path('bin/kiln'), ...args);
}

/** Runs any command as the user, like `asUser`. */
export function commandAsUser(
  rig: Rig,
  ids: 'with ids' | 'without ids',
  ...command: string[]
): Promise<Ran> {
  const subids = ids === 'with ids' ? rig.path('subids') : '/dev/null';
  // A test that puts a file `tun` into the rig replaces /dev/net/tun, which every user may open.
  const tun = existsSync(rig.path('tun')) ? `mount --bind ${rig.path('tun')} /dev/net/tun &&` : '';
  const script = `${tun} mount --bind ${subids} /etc/subuid && \
mount --bind ${subids} /etc/subgid && mount --bind ${rig.path('passwd')} /etc/passwd &&
    exec setpriv --reuid=${UID} --regid=${UID} --clear-groups --inh-caps=-all "$@"`;
  return run(['unshare', '--mount', 'sh', '-c', script, 'sh', ...command], {
    cwd: rig.directory,
    env: {
      KILN_ROOT: '',
      KILN_NODE: rig.path('bin/node'),
      HOME: rig.path('home'),
      XDG_DATA_HOME: '',
      XDG_RUNTIME_DIR: '',
      SOURCE_DATE_EPOCH: '1700000000',
    },
  });
}

/** Waits for a command and asserts that it succeeded. */
export async function done(ran: Promise<Ran>): Promise<Ran> {
  const ended = await ran;
  assert.is(ended.code, 0, ended.stderr);
  return ended;
}
