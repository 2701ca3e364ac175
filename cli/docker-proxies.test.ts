import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dockerProxies } from './docker-proxies.ts';

function proxiesOf(
  config: unknown,
  { env = {}, given = {} }: { env?: Record<string, string>; given?: Record<string, string> } = {},
): { readonly found: Record<string, string>; readonly warnings: readonly string[] } {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-proxies-'));
  try {
    const path = join(directory, 'config.json');
    if (config !== undefined)
      writeFileSync(path, typeof config === 'string' ? config : JSON.stringify(config));
    const warnings: string[] = [];
    const found = dockerProxies(
      path,
      env,
      new Map(Object.entries(given)),
      (sentence) => void warnings.push(sentence),
    );
    return { found: Object.fromEntries(found), warnings };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('every field becomes a build argument in upper and lower case', () => {
  const entry = { httpProxy: 'h', httpsProxy: 's', ftpProxy: 'f', noProxy: 'n', allProxy: 'a' };
  assert.equal(proxiesOf({ proxies: { default: entry } }), {
    found: {
      ...{
        HTTP_PROXY: 'h',
        http_proxy: 'h',
        HTTPS_PROXY: 's',
        https_proxy: 's',
        FTP_PROXY: 'f',
        ftp_proxy: 'f',
      },
      ...{ NO_PROXY: 'n', no_proxy: 'n', ALL_PROXY: 'a', all_proxy: 'a' },
    },
    warnings: [],
  });
});

test('the entry for DOCKER_HOST replaces the whole default entry', () => {
  const proxies = {
    default: { httpProxy: 'd', noProxy: 'd' },
    'unix:///var/run/docker.sock': { httpProxy: 'socket' },
    'tcp://build:2375': { httpProxy: 'build' },
  };
  assert.equal(proxiesOf({ proxies }).found, { HTTP_PROXY: 'socket', http_proxy: 'socket' });
  assert.is(
    proxiesOf({ proxies }, { env: { DOCKER_HOST: 'tcp://build:2375' } }).found['http_proxy'],
    'build',
  );
  assert.is(
    proxiesOf({ proxies }, { env: { DOCKER_HOST: 'tcp://other:2375' } }).found['NO_PROXY'],
    'd',
  );
});

test('a build argument takes precedence over the proxy of the same name in either case', () => {
  const proxies = { default: { httpProxy: 'cfg', noProxy: 'cfg' } };
  assert.equal(proxiesOf({ proxies }, { given: { http_proxy: 'arg' } }).found, {
    NO_PROXY: 'cfg',
    no_proxy: 'cfg',
  });
  assert.equal(proxiesOf({ proxies }, { given: { HTTP_PROXY: '', NO_PROXY: 'arg' } }).found, {});
});

test('a file, an entry or a field that is missing or empty sets no build argument', () => {
  for (const config of [
    undefined,
    {},
    { proxies: {} },
    { proxies: { default: {} } },
    { proxies: { default: { httpProxy: '' } } },
  ])
    assert.equal(proxiesOf(config), { found: {}, warnings: [] });
});

test('a file that cannot be used gives a warning, not an error', () => {
  for (const [config, words] of [
    ['{', /not a valid docker configuration/],
    [{ proxies: [] }, /does not have the form that docker writes/],
    [{ proxies: { default: 'x' } }, /does not have the form that docker writes/],
    [{ proxies: { default: { httpProxy: 7 } } }, /httpProxy is not a string/],
  ] as const) {
    const { found, warnings } = proxiesOf(config);
    assert.equal(found, {});
    assert.is(warnings.length, 1);
    assert.match(warnings[0]!, words);
  }
});

test.run();
