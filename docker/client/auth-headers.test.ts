import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../../base/errors.ts';
import { authHeader, configHeader, credentialOf } from './auth-headers.ts';

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const signal = new AbortController().signal;

test('a login is for the registry of the request alone', async () => {
  const header = encoded({ username: 'me', password: 'p:w', serveraddress: 'other.example' });
  const logins = authHeader(header, 'registry.example');
  assert.equal(await logins('registry.example', signal), {
    kind: 'basic',
    username: 'me',
    password: 'p:w',
  });
  assert.is(await logins('evil.example', signal), undefined);
  assert.is(await authHeader(undefined, 'a')('a', signal), undefined);
  assert.is(await authHeader(encoded({}), 'a')('a', signal), undefined);
});

test('the logins of a build are those of the registries that it names', async () => {
  const logins = configHeader(
    encoded({
      'https://index.docker.io/v1/': { username: 'hub', password: 'x' },
      'registry.example:5000': { auth: Buffer.from('me:p:w').toString('base64') },
    }),
  );
  assert.equal(await logins('docker.io', signal), {
    kind: 'basic',
    username: 'hub',
    password: 'x',
  });
  assert.equal(await logins('registry.example:5000', signal), {
    kind: 'basic',
    username: 'me',
    password: 'p:w',
  });
  assert.is(await logins('registry.example', signal), undefined);
});

test('tokens come before passwords', () => {
  assert.equal(credentialOf({ identitytoken: 't', username: 'u' }), {
    kind: 'identity',
    token: 't',
  });
  assert.equal(credentialOf({ registrytoken: 't' }), { kind: 'registry', token: 't' });
  for (const nothing of [undefined, null, 'x', 1, {}, { username: '' }, { password: 'p' }])
    assert.is(credentialOf(nothing), undefined);
});

test('an error never repeats what may be a password', () => {
  for (const text of ['not base64 json', Buffer.from('"secret"').toString('base64url')])
    try {
      authHeader(text, 'a');
      assert.unreachable();
    } catch (error) {
      const { code, message } = error as KilnError;
      assert.is(code, 'KILN_REQUEST_INVALID');
      assert.not.match(message, /secret|not base64/);
    }
});

test.run();
