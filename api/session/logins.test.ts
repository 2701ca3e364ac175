import { Code, ConnectError } from '@connectrpc/connect';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ClientSession } from './client-session.ts';
import { loginOf } from './logins.ts';

type Answers = Readonly<Record<string, () => unknown>>;

/** A session that answers these methods of Auth, and knows no other. Notes what it is asked. */
function sessionWith(answers: Answers): { session: ClientSession; asked: string[] } {
  const asked: string[] = [];
  const client = {
    async unary({ name }: { readonly name: string }, { host }: { readonly host: string }) {
      asked.push(`${name} ${host}`);
      const answer = answers[name];
      if (!answer) throw new ConnectError('unknown method', Code.Unimplemented);
      return answer();
    },
  };
  return { session: { client } as unknown as ClientSession, asked };
}

const { signal } = new AbortController();
const LOGIN = () => ({ username: 'me', secret: 'word' });

test('a client that fetches tokens keeps its login', async () => {
  const issuedAt = BigInt(Math.floor(Date.now() / 1000) - 100);
  const { session, asked } = sessionWith({
    GetTokenAuthority: () => ({ publicKey: new Uint8Array(32) }),
    FetchToken: () => ({ token: 't', expiresIn: 300n, issuedAt }),
    Credentials: LOGIN,
  });
  const login = await loginOf(session, 'docker.io', signal);
  assert.is(login?.kind, 'owner');
  if (login?.kind !== 'owner') return;
  const question = { realm: 'https://auth.example', service: 's', scopes: ['a'] };
  const { token, lifetime } = await login.token(question, signal);
  assert.is(token, 't');
  assert.ok(lifetime <= 200 && lifetime > 190, String(lifetime));
  assert.equal(asked, [
    'GetTokenAuthority registry-1.docker.io',
    'FetchToken registry-1.docker.io',
  ]);
});

test('a client that fetches no tokens, however it says so, is asked for its login', async () => {
  const ways: readonly Answers[] = [
    {},
    { GetTokenAuthority: () => ({ publicKey: new Uint8Array() }) },
    {
      GetTokenAuthority: () => {
        throw new ConnectError('client side tokens disabled', Code.Unavailable);
      },
    },
  ];
  for (const way of ways) {
    const { session } = sessionWith({ ...way, Credentials: LOGIN });
    const login = await loginOf(session, 'example.com', signal);
    assert.equal(login, { kind: 'basic', username: 'me', password: 'word' });
  }
  const { session } = sessionWith({ Credentials: () => ({ username: '', secret: '' }) });
  assert.is(await loginOf(session, 'example.com', signal), undefined);
});

test.run();
