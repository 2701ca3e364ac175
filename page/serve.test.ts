import { request as httpRequest } from 'node:http';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { generatedBuild, sourceOf } from './builds-fixture.ts';
import { openPage } from './serve.ts';

const PARTS = { script: 'SCRIPT', style: 'STYLE' };
const VIEW = generatedBuild({ steps: 20 });

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function ask(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((done, failed) => {
    const sent = httpRequest({ host: '127.0.0.1', port, path, headers, method }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => (body += text));
      response.on('end', () =>
        done({ status: response.statusCode ?? 0, headers: response.headers, body }),
      );
    });
    sent.on('error', failed).end();
  });
}

async function opened(source = sourceOf([VIEW])) {
  const page = await openPage({ source, parts: PARTS });
  const token = new URL(page.address()).searchParams.get('token')!;
  const exchange = await ask(page.port, `/?token=${token}`);
  const cookie = String((exchange.headers['set-cookie'] as string[])[0]).split(';')[0]!;
  return { page, token, exchange, get: (path: string) => ask(page.port, path, { cookie }) };
}

test('a token is good once, and gives a cookie that other pages cannot use', async () => {
  const { page, token, exchange, get } = await opened();
  await using _ = page;
  assert.match(String(exchange.headers['set-cookie']), /; HttpOnly; SameSite=Strict; Path=\/$/);
  assert.is((await ask(page.port, `/?token=${token}`)).status, 403);
  assert.is((await get(`/?token=${token}`)).status, 200);
  assert.is((await get('/')).status, 200);
});

test('without the cookie nothing is answered, not even the script', async () => {
  const { page } = await opened();
  await using _ = page;
  for (const path of ['/', '/page.js', '/page.css', '/api/builds', '/?token=', '/?token=wrong']) {
    const { status, body } = await ask(page.port, path);
    assert.is(status, 403, path);
    assert.match(body, /kiln ui/);
  }
  const wrong = { cookie: `kiln-page-${page.port}=wrong` };
  assert.is((await ask(page.port, '/api/builds', wrong)).status, 403);
});

test('requests with the name or the origin of another are refused', async () => {
  await using page = await openPage({ source: sourceOf([VIEW]), parts: PARTS });
  const { search } = new URL(page.address());
  for (const headers of [
    { host: 'evil.example' },
    { host: `evil.example:${page.port}` },
    { host: '127.0.0.1' },
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { origin: `https://127.0.0.1:${page.port}` },
  ])
    assert.is((await ask(page.port, `/${search}`, headers as never)).status, 403);
  const own = { host: `localhost:${page.port}`, origin: `http://localhost:${page.port}` };
  assert.is((await ask(page.port, `/${search}`, own)).status, 200);
});

test('each answer has a policy that allows no script but the own one', async () => {
  const { page, get } = await opened();
  await using _ = page;
  for (const path of ['/', '/page.js', '/api/builds', '/api/none']) {
    const { headers } = await get(path);
    assert.match(String(headers['content-security-policy']), /default-src 'none'/);
    assert.not.match(String(headers['content-security-policy']), /unsafe|\*|http/);
    assert.is(headers['x-content-type-options'], 'nosniff');
    assert.is(headers['cache-control'], 'no-store');
  }
});

test('the page only reads', async () => {
  const { page } = await opened();
  await using _ = page;
  for (const method of ['POST', 'PUT', 'DELETE'])
    assert.is((await ask(page.port, '/api/builds', {}, method)).status, 405);
});

test('lines are answered by range, and none has megabytes', async () => {
  const long = ['short', 'x'.repeat(10_000_000), '\u001b[31mred'];
  const { page, get } = await opened(sourceOf([VIEW], { 1: long }));
  await using _ = page;
  const lines = async (query: string) =>
    JSON.parse((await get(`/api/builds/${VIEW.id}/lines?${query}`)).body);
  const [second, third] = await lines('step=1&from=1&count=5');
  assert.is(second.text.length, 4096);
  assert.is(second.cut, 10_000_000 - 4096);
  assert.is(third.text, long[2]);
  assert.equal(await lines('step=999&from=-4&count=x'), []);
  const { body, headers } = await get(`/api/builds/${VIEW.id}/log.txt?step=1`);
  assert.is(body, `${long.join('\n')}\n`);
  assert.match(String(headers['content-disposition']), /^attachment/);
});

test('a search names the lines, those of failed steps first', async () => {
  const failed = generatedBuild({ steps: 20, failing: 12, linesPerStep: 3 });
  const { page, get } = await opened(sourceOf([failed], { 4: ['a Needle'], 12: ['x', 'needle'] }));
  await using _ = page;
  const found = JSON.parse((await get(`/api/builds/${failed.id}/search?for=NEEDLE`)).body);
  assert.equal(found, {
    found: [
      [12, 1],
      [4, 0],
    ],
    isCut: false,
  });
});

test('a damaged record says so, and hides no other', async () => {
  const source = sourceOf([VIEW]);
  const { page, get } = await opened({
    ...source,
    build(id) {
      if (id !== 'damaged') return source.build(id);
      throw new KilnError('KILN_LOG_NOT_FOUND', 'the record is damaged', { hint: 'remove it' });
    },
  });
  await using _ = page;
  const damaged = await get('/api/builds/damaged');
  assert.is(damaged.status, 500);
  assert.equal(JSON.parse(damaged.body), {
    error: 'the record is damaged',
    code: 'KILN_LOG_NOT_FOUND',
    hint: 'remove it',
  });
  assert.is((await get(`/api/builds/${VIEW.id}`)).status, 200);
  assert.is((await get('/api/builds/%E0%A4%A')).status, 404);
});

test('while a build runs, what changes in it is sent, until it has ended', async () => {
  const running = generatedBuild({ steps: 6, running: true });
  const done = generatedBuild({ steps: 6 });
  let asked = 0;
  const source = { ...sourceOf([running]), build: () => (++asked > 2 ? done : running) };
  const { page, get } = await opened(source);
  await using _ = page;
  const { body } = await get(`/api/builds/${running.id}/events`);
  const events = [...body.matchAll(/^event: (\w+)\ndata: (.*)\n$/gm)].map(
    ([, name, data = '']): [string | undefined, unknown] => [name, JSON.parse(data)],
  );
  assert.equal(
    events.map(([name]) => name),
    ['view', 'changes', 'end'],
  );
  const changes = events[1]![1] as { rest: { state: string }; steps: [number, unknown][] };
  assert.is(changes.rest.state, 'completed');
  assert.equal(
    changes.steps.map(([index]) => index),
    [4, 5],
  );
});

test.run();
