import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { MEDIA } from '../base/oci.ts';
import { parseHostsConfig, readHostsConfig } from './config.ts';
import { networkFailure } from './failures.ts';
import { endpointsOf, type HostsConfig, isLoopback, tlsTowards } from './hosts.ts';
import { proxyFor, proxySettings } from './proxy.ts';
import { opensslMissing, selfSigned } from './testing/certificates.ts';
import { never, quickClient } from './testing/client.ts';
import { faultServer } from './testing/faults.ts';
import { makeImage } from './testing/images.ts';
import { registryMissing, startRegistry } from './testing/registry.ts';

const IMAGE = makeImage([{ name: 'a', text: 'a' }]);

async function inDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-hosts-'));
  try {
    await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test('docker.io is asked at its registry host, with the login of docker.io', () => {
  const [only] = endpointsOf('docker.io', 'pull', new Map());
  assert.is(only?.origin, 'https://registry-1.docker.io');
  assert.is(only?.credentialHost, 'docker.io');
  assert.is(only?.plainFallback, false);
  assert.ok(only?.tls.verify);
});

test('only loopback hosts may use plain http or any certificate, unless configured', () => {
  for (const host of ['localhost', 'localhost:5000', '127.0.0.1', '127.9.9.9:5000', '[::1]:5000']) {
    assert.ok(isLoopback(host), host);
    assert.ok(endpointsOf(host, 'pull', new Map())[0]?.plainFallback, host);
  }
  for (const host of [
    'localhost.example.com',
    '127.0.0.1.example.com',
    '128.0.0.1',
    'example.com',
    '10.0.0.1:5000',
    '[2001:db8::1]',
  ]) {
    assert.not.ok(isLoopback(host), host);
    const [endpoint] = endpointsOf(host, 'pull', new Map());
    assert.ok(
      endpoint?.tls.verify && !endpoint.plainFallback && endpoint.origin.startsWith('https:'),
      host,
    );
  }
});

test('mirrors are asked first for a pull and never for a push', () => {
  const config = new Map([
    [
      'docker.io',
      {
        mirrors: ['m.example.com', 'https://n.example.com/hub/'],
        http: false,
        insecure: false,
        ca: [],
      },
    ],
  ]);
  const pull = endpointsOf('docker.io', 'pull', config);
  assert.equal(
    pull.map(({ origin, prefix, credentialHost }) => [origin, prefix, credentialHost]),
    [
      ['https://m.example.com', '/v2', 'm.example.com'],
      ['https://n.example.com', '/v2/hub', 'n.example.com'],
      ['https://registry-1.docker.io', '/v2', 'docker.io'],
    ],
  );
  assert.is(endpointsOf('docker.io', 'push', config).length, 1);
});

const env = {
  HTTPS_PROXY: 'http://proxy:3128',
  http_proxy: 'proxy2:8080',
  NO_PROXY:
    'a.example.com, .internal,10.0.0.0/8 *.wild.org,one:5000,fd00::1,[fd00::2]:5000,' +
    'FE80::/10,192.0.2.7,Upper.example,*.ports.org:81',
};
const proxied: readonly [string, string | undefined][] = [
  ['https://registry.org/', 'http://proxy:3128'],
  ['http://registry.org/', 'http://proxy2:8080'],
  ['https://a.example.com/', undefined],
  ['https://sub.a.example.com/', undefined],
  ['https://xa.example.com/', 'http://proxy:3128'],
  ['https://x.internal/', undefined],
  ['https://internal/', 'http://proxy:3128'],
  ['https://10.1.2.3:5000/', undefined],
  ['https://11.1.2.3/', 'http://proxy:3128'],
  ['https://x.wild.org/', undefined],
  ['https://one:5000/', undefined],
  ['https://one/', 'http://proxy:3128'],
  ['https://wild.org/', 'http://proxy:3128'],
  ['https://[fd00::1]:5000/', undefined],
  ['https://[fd00::2]:5000/', undefined],
  ['https://[fd00::2]/', 'http://proxy:3128'],
  ['https://[fe80::12]/', undefined],
  ['https://[fd00::12]/', 'http://proxy:3128'],
  ['https://192.0.2.7:5000/', undefined],
  ['https://192.0.2.70/', 'http://proxy:3128'],
  ['https://upper.example/', undefined],
  ['http://a.ports.org:81/', undefined],
  ['http://a.ports.org/', 'http://proxy2:8080'],
  ['https://127.0.0.1:5000/', undefined],
  ['http://localhost/', undefined],
];
for (const [url, expected] of proxied) {
  test(`${url} goes ${expected ? `through ${expected}` : 'directly'}`, () =>
    assert.is(proxyFor(new URL(url), proxySettings(env)), expected));
}

test('NO_PROXY=* exempts all hosts', () => {
  assert.is(
    proxyFor(new URL('https://x.org/'), proxySettings({ HTTPS_PROXY: 'p:1', NO_PROXY: '*' })),
    undefined,
  );
});

test('a request that has a proxy is sent to the proxy', async () => {
  await using proxy = await faultServer(
    (_, response) =>
      void response.writeHead(200, { 'content-type': MEDIA.ociManifest }).end(IMAGE.bytes),
  );
  const hosts = await parseHostsConfig(
    '[registry."registry.example.com"]\nhttp = true\n',
    'test.toml',
  );
  await using client = quickClient({ hosts, proxies: { http: `http://${proxy.host}`, none: [] } });
  await client.manifest({ domain: 'registry.example.com', path: 'a' }, 'latest', never());
  assert.is(proxy.seen[0]?.path, 'http://registry.example.com/v2/a/manifests/latest');
});

test('the configuration is read from the registry tables of a buildkitd.toml', () =>
  inDirectory(async (directory) => {
    const ca = join(directory, 'ca.crt');
    const pem = '-----BEGIN CERTIFICATE-----\nxyz\n-----END CERTIFICATE-----\n';
    writeFileSync(ca, pem);
    const text =
      'debug = true\n' +
      '[registry."docker.io"]\n' +
      'mirrors = ["m.example.com"]\n' +
      'max-age = "1h30m"\n' +
      '[registry."r:5000"]\n' +
      'http = true\n' +
      'insecure = true\n' +
      `ca = ["${ca}"]\n` +
      `tlsconfigdir = ["${directory}"]\n`;
    const config = await parseHostsConfig(text, 'x.toml');
    assert.equal(config.get('docker.io'), {
      mirrors: ['m.example.com'],
      http: false,
      insecure: false,
      ca: [],
      maxAge: 5_400_000,
    });
    assert.equal(config.get('r:5000'), { mirrors: [], http: true, insecure: true, ca: [pem, pem] });
    assert.is(
      (await readHostsConfig(join(directory, 'none.toml'), join(directory, 'none'))).get(
        'docker.io',
      ),
      undefined,
    );
    for (const [bad, why] of [
      ['[registry', /x\.toml/],
      ['[registry."a"]\nhttps = true', /unknown field https/],
      ['[registry."a"]\nmirrors = "m"', /list of strings/],
      ['[registry."a"]\nhttp = "yes"', /neither true nor false/],
      ['[registry."a"]\nmax-age = "soon"', /registry\."a"\.max-age is not a duration/],
      ['[registry]\nmax-age = [1]', /registry\.max-age is not a duration/],
      ['[registry."a"]\nca = ["/nonexistent/ca.pem"]', /cannot be read/],
      ['[registry."a"]\ntlsconfigdir = ["/nonexistent"]', /no such directory/],
      ['[registry."a"]\nkeypair = "x"', /key and cert/],
      ['[[registry."a".keypair]]\ncert = "/nonexistent/c.pem"', /key and cert/],
      ['[[registry."a".keypair]]\ncert = "/nonexistent/c.pem"\nkey = "/k"', /cannot be read/],
    ] as const) {
      const error = await parseHostsConfig(bad, 'x.toml').catch((caught: unknown) => caught);
      assert.ok(
        error instanceof KilnError &&
          error.code === 'KILN_REGISTRY_CONFIG_INVALID' &&
          why.test(error.message),
        String(error),
      );
    }
  }));

const skip = registryMissing() ?? opensslMissing();
if (skip) console.log(`SKIP a registry with a certificate of its own: ${skip}`);
else
  test('a self-signed certificate is accepted on loopback, and verified when a CA is given', () =>
    inDirectory(async (directory) => {
      const { certificate, key } = selfSigned(directory, 'good');
      const { certificate: other } = selfSigned(directory, 'other');
      await using registry = await startRegistry({ tls: { certificate, key } });
      const ask = async (ca: readonly string[]) => {
        const hosts = new Map([[registry.host, { mirrors: [], http: false, insecure: false, ca }]]);
        await using client = quickClient({ hosts });
        return await client
          .manifest({ domain: registry.host, path: 'a' }, 'latest', never())
          .catch((error: KilnError) => error.code);
      };
      assert.is(await ask([]), 'KILN_IMAGE_NOT_FOUND');
      assert.is(await ask([readFileSync(certificate, 'utf8')]), 'KILN_IMAGE_NOT_FOUND');
      assert.is(await ask([readFileSync(other, 'utf8')]), 'KILN_REGISTRY_TLS');
    }));

test('a host without TLS is told as such, with the setting for plain http', async () => {
  const url = new URL('https://registry.example:5000/v2/');
  const why = '40EDEE:error:0A00010B:SSL routines:tls_x:wrong version number:../ssl/x.c:77:\n';
  const error = networkFailure(
    Object.assign(new Error(why), { code: 'EPROTO' }),
    url,
    new AbortController().signal,
  ) as KilnError;
  assert.is(error.code, 'KILN_REGISTRY_TLS');
  assert.is(error.message, 'registry registry.example:5000 does not answer with TLS');
  assert.match(error.hint ?? '', 'http = true below [registry."registry.example:5000"]');
});

test('a registry on loopback is asked by http first, then by https', async () => {
  const first: (number | undefined)[] = [];
  // Like a server that speaks TLS alone, and hangs up after anything else.
  const server = createServer((socket) => {
    socket
      .on('error', () => {})
      .once('data', (data) => {
        first.push(data[0]);
        socket.end('\x15\x03\x01\x00\x02\x02\x46', 'latin1');
      });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  await using client = quickClient();
  await client.manifest({ domain: host, path: 'a' }, 'latest', never()).catch(() => {});
  await new Promise((done) => server.close(done));
  const HANDSHAKE = 0x16;
  const GET = 'G'.charCodeAt(0);
  assert.is(first[0], GET);
  assert.is(first[1], HANDSHAKE);
});

if (skip) console.log(`SKIP a registry that wants a client certificate: ${skip}`);
else
  test('a client certificate comes from kiln.toml or certs.d, and is shown to that host only', () =>
    inDirectory(async (directory) => {
      const server = selfSigned(directory, 'server');
      const client = selfSigned(directory, 'client');
      await using registry = await startRegistry({ tls: server, clientCa: client.certificate });
      const ask = async (hosts: HostsConfig) => {
        await using asking = quickClient({ hosts });
        return await asking
          .manifest({ domain: registry.host, path: 'a' }, 'latest', never())
          .catch((error: KilnError) => error.code);
      };
      const table = `registry."${registry.host}"`;
      const keypair =
        `[[${table}.keypair]]\n` + `cert = "${client.certificate}"\n` + `key = "${client.key}"\n`;
      // The TLS alert may be lost with the connection.
      assert.match(
        String(
          await ask(await parseHostsConfig(`[${table}]\nca = ["${server.certificate}"]\n`, 'x')),
        ),
        /^KILN_REGISTRY_(TLS|UNREACHABLE)$/,
      );
      assert.is(
        await ask(
          await parseHostsConfig(`[${table}]\nca = ["${server.certificate}"]\n${keypair}`, 'x'),
        ),
        'KILN_IMAGE_NOT_FOUND',
      );
      const certificates = join(directory, 'certs.d');
      const own = join(certificates, registry.host);
      mkdirSync(own, { recursive: true });
      copyFileSync(server.certificate, join(own, 'ca.crt'));
      copyFileSync(client.certificate, join(own, 'me.cert'));
      const read = () => readHostsConfig(join(directory, 'none.toml'), certificates);
      const lone = await ask(await read());
      assert.is(lone, 'KILN_REGISTRY_CONFIG_INVALID', 'a certificate without its key');
      copyFileSync(client.key, join(own, 'me.key'));
      assert.is(await ask(await read()), 'KILN_IMAGE_NOT_FOUND');
      assert.is((await read()).get('127.0.0.1:1'), undefined);
      const [endpoint] = endpointsOf(registry.host, 'push', await read());
      assert.ok(endpoint?.tls.keypairs);
      assert.is(tlsTowards(new URL(`https://${registry.host}/x`), endpoint), endpoint.tls);
      assert.is(tlsTowards(new URL('https://127.0.0.1:1/x'), endpoint).keypairs, undefined);
      assert.equal(tlsTowards(new URL('https://cdn.example.com/'), endpoint), {
        verify: true,
        ca: [],
      });
    }));

test.run();
