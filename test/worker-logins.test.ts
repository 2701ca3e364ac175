import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { selfSigned } from '../registry/testing/certificates.ts';
import { beside } from './beside.ts';
import { freePort } from './daemon-rig.ts';
import { jwtUser, nkeyUser } from './nats-jwt.ts';
import { ARM, emulatesArm, Started } from './nats-rig.ts';
import { KILN, Rig, testImage } from './rig.ts';

/*
 * NATS as its users have it: users with passwords in an account, tokens, credentials, keys, and TLS
 * with a CA.
 */

const ready = emulatesArm('worker-logins');

interface Login {
  /** Of nats-server, below `listen`. */
  readonly config: string;
  /** After `nats://` or `tls://`, with HOST for host and port. */
  readonly address: string;
  readonly wrong: string;
  readonly says: RegExp;
}

async function holds(rig: Rig, { config, address, wrong, says }: Login): Promise<void> {
  const port = await freePort();
  rig.write('.', {
    'nats.conf': `listen: 127.0.0.1:${port}
jetstream { store_dir: "${rig.path('nats')}" }
${config}
`,
  });
  await using server = new Started(['/usr/sbin/nats-server', '-c', rig.path('nats.conf')]);
  await server.writes('Server is ready');
  const at = (text: string) => text.replace('HOST', `127.0.0.1:${port}`);
  const store = rig.path('store-one');
  await rig.kiln(['load', '-q', '-i', testImage('busybox')], {
    env: { KILN_ROOT: store },
    expect: 0,
  });
  const command = [KILN, 'worker', '--name', 'one', ARM, '--nats', at(address)];
  await using worker = new Started(command, { KILN_ROOT: store });
  await worker.writes('takes work');
  const build = async (text: string) =>
    await rig.kiln(['build', '--progress=plain', '--no-cache', '--workers', at(text), ARM, 'c'], {
      expect: 0,
    });
  assert.match((await build(address)).stderr, /runs on worker one/);
  const { stderr } = await build(wrong);
  assert.match(stderr, says);
  assert.match(stderr, /so this runs here/);
}

beside('a user of an account, with a password', async () => {
  if (!ready) return;
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN true\n' });
  await holds(rig, {
    config: 'accounts { B { jetstream: enabled, users: [{ user: kiln, password: "p@ss" }] } }',
    address: 'nats://kiln:p%40ss@HOST',
    wrong: 'nats://kiln:other@HOST',
    says: /cannot be used: .*[Aa]uthorization/,
  });
});

beside('a token, over TLS with a CA of its own', async () => {
  if (!ready) return;
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN true\n' });
  const { certificate, key } = selfSigned(rig.path('.'), 'nats');
  await holds(rig, {
    config:
      'authorization { token: "t0ken" }\n' +
      `tls { cert_file: "${certificate}", key_file: "${key}" }`,
    address: `tls://t0ken@HOST?ca=${certificate}`,
    wrong: 'tls://t0ken@HOST',
    says: /cannot be used: .*certificate/,
  });
});

beside('the credentials of a user that an operator trusts', async () => {
  if (!ready) return;
  await using rig = await Rig.create('busybox');
  const [{ config, creds }, other] = [jwtUser(), jwtUser()];
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN true\n' });
  rig.write('.', { 'user.creds': creds, 'other.creds': other.creds });
  await holds(rig, {
    config,
    address: `nats://HOST?creds=${rig.path('user.creds')}`,
    wrong: `nats://HOST?creds=${rig.path('other.creds')}`,
    says: /cannot be used: .*[Aa]uthorization/,
  });
});

beside('a user that the server knows by its key', async () => {
  if (!ready) return;
  await using rig = await Rig.create('busybox');
  const [user, other] = [nkeyUser(), nkeyUser()];
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN true\n' });
  rig.write('.', { 'user.nk': `${user.seed}\n`, 'other.nk': `${other.seed}\n` });
  await holds(rig, {
    config: `accounts { B { jetstream: enabled, users: [{ nkey: ${user.publicKey} }] } }`,
    address: `nats://HOST?nkey=${rig.path('user.nk')}`,
    wrong: `nats://HOST?nkey=${rig.path('other.nk')}`,
    says: /cannot be used: .*[Aa]uthorization/,
  });
});

test.run();
