import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../../base/errors.ts';
import { refuseBrowsers } from './access.ts';
import { isSet } from './docker-request.ts';
import { booleanFilter, hasLabels, momentOf, readFilters } from './filters.ts';
import { API_VERSION, Router } from './router.ts';

const thrown = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    return (error as KilnError).code;
  }
  return 'nothing';
};

test('a route is found with and without a version, and a name may have slashes', () => {
  const handler = async () => {};
  const router = new Router({ 'GET /images/json': handler, 'GET /images/{}/json': handler });
  assert.equal(router.find('GET', '/images/json'), { handler, params: [], version: API_VERSION });
  assert.equal(router.find('GET', '/v1.40/images/a%2Fb/c:1/json')?.params, ['a/b/c:1']);
  assert.is(router.find('GET', '/v1.40/images/a/json')?.version, '1.40');
  assert.is(router.find('POST', '/images/json'), undefined);
  assert.is(router.find('GET', '/images'), undefined);
  for (const path of ['/v1.10/images/json', '/v2.0/images/json', '/v1.999/images/json'])
    assert.is(
      thrown(() => router.find('GET', path)),
      'KILN_REQUEST_UNSUPPORTED',
      path,
    );
});

test('a boolean is what Go clients write', () => {
  const query = new URLSearchParams('a=1&b=true&c=0&d=false&e=&f');
  assert.equal(
    ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => isSet(query, name)),
    [true, true, false, false, false, false, false],
  );
});

test('filters have both of their forms, and others are refused', () => {
  const read = (text: string) =>
    readFilters(new URLSearchParams({ filters: text }), ['dangling', 'label']);
  assert.equal([...read('{"dangling":["true"]}')], [['dangling', ['true']]]);
  assert.equal([...read('{"label":{"a":true,"b":false}}')], [['label', ['a']]]);
  assert.is(booleanFilter(read('{"dangling":["false"]}'), 'dangling'), false);
  for (const text of ['[]', 'x', '{"other":["x"]}', '{"label":[1]}', '{"label":"x"}', 'null'])
    assert.is(
      thrown(() => read(text)),
      'KILN_FILTER_INVALID',
      text,
    );
  assert.is(
    thrown(() => booleanFilter(read('{"dangling":["x"]}'), 'dangling')),
    'KILN_FILTER_INVALID',
  );
});

test('a moment is a date, a number or a duration before now', () => {
  assert.is(momentOf('1700000000'), 1_700_000_000_000);
  assert.is(momentOf('2024-01-01T00:00:00Z'), Date.UTC(2024, 0, 1));
  const moment = momentOf('24h');
  const day = Date.now() - moment;
  assert.ok(day >= 86_400_000 && day < 86_460_000);
  assert.is(
    thrown(() => momentOf('soon')),
    'KILN_FILTER_INVALID',
  );
});

test('labels are compared with and without a value', () => {
  const labels = { a: '1', b: 'x=y' };
  assert.ok(hasLabels(labels, ['a', 'b=x=y']));
  assert.not.ok(hasLabels(labels, ['a=2']));
  assert.not.ok(hasLabels(labels, ['toString']));
});

test('requests of pages are refused, and those of clients are not', () => {
  for (const host of ['docker', 'd', 'localhost:2375', '[::1]', '10.0.0.1', '%2Frun%2Fdocker.sock'])
    refuseBrowsers({ host });
  refuseBrowsers({});
  for (const headers of [{ host: 'a.example' }, { origin: 'null' }, { 'sec-fetch-mode': 'cors' }])
    assert.is(
      thrown(() => refuseBrowsers(headers)),
      'KILN_REQUEST_REFUSED',
    );
});

test.run();
