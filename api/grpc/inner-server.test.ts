import { duplexPair } from 'node:stream';
import { Code, ConnectError } from '@connectrpc/connect';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Secrets } from '../proto/secrets.gen.ts';
import { openInnerClient } from './inner-client.ts';
import { type InnerMethods, serveInner, unaryAnswer } from './inner-server.ts';

const never = () => new AbortController().signal;

/** Both ends of one connection. */
function connected(answers: InnerMethods) {
  const [ours, theirs] = duplexPair();
  const server = serveInner(theirs, answers);
  const client = openInnerClient(ours);
  return {
    client,
    [Symbol.dispose]() {
      client[Symbol.dispose]();
      server[Symbol.dispose]();
    },
  };
}

const secrets = new Map([
  unaryAnswer(Secrets.method.getSecret, async ({ id }) => {
    if (id === 'known') return { data: Buffer.from('s3cret') };
    throw new ConnectError(`no secret ${id}: ä`, Code.NotFound);
  }),
]);

test('a method of one message each way answers, or tells its error with its code', async () => {
  using connection = connected(secrets);
  const ask = (id: string) => connection.client.unary(Secrets.method.getSecret, { id }, never());
  assert.is(Buffer.from((await ask('known')).data).toString(), 's3cret');
  const error = await ask('other').catch((thrown: unknown) => thrown);
  assert.ok(error instanceof ConnectError);
  assert.equal([error.code, error.rawMessage], [Code.NotFound, 'no secret other: ä']);
});

test.run();
