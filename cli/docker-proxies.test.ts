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

test('the entry of the engine goes before that for all, and is whole', () => {
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

test('a build argument goes before, in whatever case it is given', () => {
  const proxies = { default: { httpProxy: 'cfg', noProxy: 'cfg' } };
  assert.equal(proxiesOf({ proxies }, { given: { http_proxy: 'arg' } }).found, {
    NO_PROXY: 'cfg',
    no_proxy: 'cfg',
  });
  assert.equal(proxiesOf({ proxies }, { given: { HTTP_PROXY: '', NO_PROXY: 'arg' } }).found, {});
});

test('what is not there, or empty, is none', () => {
  for (const config of [
    undefined,
    {},
    { proxies: {} },
    { proxies: { default: {} } },
    { proxies: { default: { httpProxy: '' } } },
  ])
    assert.equal(proxiesOf(config), { found: {}, warnings: [] });
});

test('what cannot be used is told, and no build fails of it', () => {
  for (const [config, words] of [
    ['{', /not a valid docker configuration/],
    [{ proxies: [] }, /is not what docker writes/],
    [{ proxies: { default: 'x' } }, /is not what docker writes/],
    [{ proxies: { default: { httpProxy: 7 } } }, /httpProxy is not a text/],
  ] as const) {
    const { found, warnings } = proxiesOf(config);
    assert.equal(found, {});
    assert.is(warnings.length, 1);
    assert.match(warnings[0]!, words);
  }
});

test.run();
