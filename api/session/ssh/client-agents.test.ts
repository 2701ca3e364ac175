import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duplexPair } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { MESSAGE } from '../../../executor/ssh/agent.ts';
import { forwardAgent } from '../../../executor/ssh/forward.ts';
import { string } from '../../../executor/ssh/wire.ts';
import { openInnerClient } from '../../grpc/inner-client.ts';
import { serveStream } from '../../grpc/stream-server.ts';
import { SSH } from '../../proto/ssh.gen.ts';
import { agentOf } from './client-agents.ts';

/** What a step gets that sends `bytes` to a socket of a client, and what the client got of it. */
async function conversation(bytes: Buffer, answer: Buffer) {
  const directory = mkdtempSync(join(tmpdir(), 'k-'));
  const [ours, theirs] = duplexPair();
  const got: Uint8Array[] = [];
  serveStream(
    theirs,
    (router) =>
      router.service(SSH, {
        async *forwardAgent(requests) {
          for await (const { data } of requests) {
            got.push(data);
            yield { data: answer };
          }
        },
      }),
    { spoken: () => {}, closed: () => {} },
  );
  using client = openInnerClient(ours);
  const access = { uid: process.getuid!(), gid: process.getgid!(), mode: 0o600 };
  const agent = agentOf({ client }, 'default', new AbortController().signal);
  try {
    await using forwarded = await forwardAgent(agent, directory, access);
    const step = createConnection({ path: forwarded.socket, allowHalfOpen: true });
    step.end(bytes);
    return { answered: await buffer(step), received: Buffer.concat(got) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('a socket of a client that is no agent gets the bytes of a step as they are', async () => {
  const request = Buffer.from('GET /foo HTTP/1.1\r\n\r\n');
  const { answered, received } = await conversation(request, Buffer.from('HTTP/1.1 200 OK\r\n'));
  assert.is(String(received), String(request));
  assert.is(String(answered), 'HTTP/1.1 200 OK\r\n');
});

test('of what is said to an agent, only listing and signing reach it', async () => {
  const keys = string(Buffer.from([MESSAGE.keys, 0, 0, 0, 0]));
  const list = string(Buffer.from([MESSAGE.listKeys]));
  const remove = string(Buffer.from([19]));
  const { answered, received } = await conversation(Buffer.concat([remove, list, remove]), keys);
  assert.equal(received, list);
  const failure = string(Buffer.from([MESSAGE.failure]));
  assert.equal(answered, Buffer.concat([failure, keys, failure]));
});

test.run();
