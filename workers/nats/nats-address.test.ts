import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseNatsAddress } from './nats-address.ts';

const parse = (text: string, env = {}) => parseNatsAddress(text, '--workers', env);

test('an address names servers, and who connects', () => {
  const { servers, user, password, isTls, shown } = parse('nats://me:p%40ss@one,two:5222');
  assert.equal(servers, ['one:4222', 'two:5222']);
  assert.equal([user, password, isTls], ['me', 'p@ss', false]);
  assert.is(shown, 'nats://one,two:5222');
  assert.is(parse('nats://t0ken@one').token, 't0ken');
});

test('files come from the address, or else from the variables of NATS', () => {
  const env = { NATS_CREDS: '/env.creds', NATS_CA: '/env.pem' };
  assert.is(parse('nats://one?creds=/my.creds', env).creds, '/my.creds');
  const { creds, ca, isTls } = parse('nats://one', env);
  assert.equal([creds, ca, isTls], ['/env.creds', '/env.pem', true]);
  assert.is(parse('tls://one').isTls, true);
});

test('what is no address is refused, without its password', () => {
  for (const text of ['nats://', 'nats://a b', 'nats://me:secret@one?nosuch=1', 'nats://one/path'])
    assert.throws(
      () => parse(text),
      (error: { code: string; message: string }) =>
        error.code === 'KILN_ADDRESS_INVALID' && !error.message.includes('secret'),
    );
});

test.run();
