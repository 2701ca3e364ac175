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

test('a connection that was closed before it is used fails each call', async () => {
  const [ours] = duplexPair();
  ours.destroy();
  await new Promise((done) => ours.once('close', done));
  using client = openInnerClient(ours);
  assert.ok(client.closed.aborted);
  const error = await client
    .unary(Secrets.method.getSecret, { id: 'x' }, never())
    .catch((thrown: unknown) => thrown);
  assert.is((error as ConnectError).code, Code.Unavailable);
  // What Node tells later about the connection must not end the process.
  await new Promise((done) => setImmediate(done));
});

test('a method of one message each way answers, or tells its error with its code', async () => {
  using connection = connected(secrets);
  const ask = (id: string) => connection.client.unary(Secrets.method.getSecret, { id }, never());
  assert.is(Buffer.from((await ask('known')).data).toString(), 's3cret');
  const error = await ask('other').catch((thrown: unknown) => thrown);
  assert.ok(error instanceof ConnectError);
  assert.equal([error.code, error.rawMessage], [Code.NotFound, 'no secret other: ä']);
});

test.run();
