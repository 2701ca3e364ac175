import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { selfSigned } from './certificates.ts';
import { type FaultServer, faultServer } from './faults.ts';

/**
 * A token server for a TestRegistry (distribution token spec). The user may do everything; an
 * anonymous client may pull repositories below `public/`.
 */
export interface TokenServer extends AsyncDisposable {
  readonly realm: string;
  /** The file whose key signs the tokens. */
  readonly certificate: string;
  /** All requests so far. */
  readonly seen: FaultServer['seen'];
}

export async function startTokenServer(user: {
  readonly username: string;
  readonly password: string;
}): Promise<TokenServer> {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-tokens-'));
  const { certificate, key } = selfSigned(directory, 'tokens');
  const issue = issuer(readFileSync(certificate), readFileSync(key));
  const basic = `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}`;
  const server = await faultServer(({ path, method, headers }, response) => {
    if (method !== 'GET') return void response.writeHead(405).end();
    const known = headers.authorization === basic;
    if (headers.authorization !== undefined && !known) return void response.writeHead(401).end();
    const asked = new URL(path, 'http://x').searchParams
      .getAll('scope')
      .flatMap((scope) => scope.split(' '));
    const token = issue(asked.flatMap((scope) => granted(scope, known)));
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ token, expires_in: 300 }));
  });
  return {
    realm: `http://${server.host}/token`,
    certificate,
    seen: server.seen,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

interface Access {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

function granted(scope: string, known: boolean): Access[] {
  const [, type = '', name = '', actions = ''] = /^(\w+):(.*):([\w,]+)$/.exec(scope) ?? [];
  if (known) return [{ type, name, actions: actions.split(',') }];
  return name.startsWith('public/') ? [{ type, name, actions: ['pull'] }] : [];
}

/**
 * Signs JSON Web Tokens (RFC 7519) by ES256, with the certificate in the header (RFC 7515, 4.1.6).
 */
function issuer(certificate: Buffer, key: Buffer): (access: readonly Access[]) => string {
  const header = {
    typ: 'JWT',
    alg: 'ES256',
    x5c: [new X509Certificate(certificate).raw.toString('base64')],
  };
  const privateKey = createPrivateKey(key);
  const encode = (json: unknown) => Buffer.from(JSON.stringify(json)).toString('base64url');
  return (access) => {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: 'test',
      sub: '',
      aud: 'test',
      exp: now + 300,
      nbf: now - 60,
      iat: now,
      jti: randomUUID(),
      access,
    };
    const signed = `${encode(header)}.${encode(claims)}`;
    const signature = sign('sha256', Buffer.from(signed), {
      key: privateKey,
      dsaEncoding: 'ieee-p1363',
    });
    return `${signed}.${signature.toString('base64url')}`;
  };
}
