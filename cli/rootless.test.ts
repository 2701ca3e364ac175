import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { planRootless, rootlessMap, type UserHost } from './rootless.ts';

const SUBIDS = 'other:100000:65536\nsomeone:165536:65536\n';

function host(
  files: Readonly<Record<string, string>> = {},
  programs = ['unshare', 'newuidmap', 'newgidmap'],
): UserHost {
  const all: Readonly<Record<string, string>> = {
    '/etc/subuid': SUBIDS,
    '/etc/subgid': SUBIDS,
    ...files,
  };
  return {
    user: 'someone',
    uid: 1001,
    find: (program) => (programs.includes(program) ? `/usr/bin/${program}` : undefined),
    read: (path) => all[path],
    tryNamespace: () => undefined,
  };
}

test('subordinate ids are mapped when the user has them and the helpers are installed', () => {
  assert.equal(planRootless(host()), { unshare: '/usr/bin/unshare', map: 'all' });
  assert.is(planRootless(host({ '/etc/subuid': '1001:7:65536\n' })).map, 'all', 'named by number');
});

for (const [what, lacking] of [
  ['no range of users', host({ '/etc/subuid': 'other:1:65536\n' })],
  ['no range of groups', host({ '/etc/subgid': '' })],
  ['a range too small', host({ '/etc/subuid': 'someone:100000:1000\n' })],
  ['no name of the user', { ...host(), user: undefined }],
  ['no new privileges', host({ '/proc/self/status': 'NoNewPrivs:\t1\nSeccomp:\t0\n' })],
  ['no newgidmap', host({}, ['unshare', 'newuidmap'])],
] as const) {
  test(`with ${what} only the user's own id is mapped`, () =>
    assert.is(planRootless(lacking).map, 'own'));
}

for (const [what, refusing, says] of [
  ['no unshare', host({}, []), 'util-linux'],
  [
    'no user namespaces',
    host({ '/proc/sys/user/max_user_namespaces': '0\n' }),
    'sysctl -w user.max_user_namespaces=15000',
  ],
  [
    'seccomp',
    {
      ...host({ '/proc/self/status': 'NoNewPrivs:\t0\nSeccomp:\t2\n' }),
      tryNamespace: () => 'unshare failed: Operation not permitted',
    },
    '--privileged',
  ],
  [
    'AppArmor',
    host({ '/proc/sys/kernel/apparmor_restrict_unprivileged_userns': '1\n' }),
    'apparmor_restrict',
  ],
] as const) {
  test(`${what}: an error whose hint says how to fix it`, () => {
    try {
      planRootless(refusing);
      assert.unreachable();
    } catch (error) {
      assert.instance(error, KilnError);
      assert.is((error as KilnError).code, 'KILN_NEEDS_ROOT');
      assert.match((error as KilnError).hint ?? '', says);
    }
  });
}

test('KILN_ROOTLESS is ignored for a process that is not root', () => {
  assert.is(rootlessMap({ KILN_ROOTLESS: 'all' }), process.getuid?.() === 0 ? 'all' : undefined);
  assert.is(rootlessMap({ KILN_ROOTLESS: 'nonsense' }), undefined);
  assert.is(rootlessMap({}), undefined);
});

test.run();
