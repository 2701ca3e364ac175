import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { normalSource, sourceEvaluator } from './evaluate.ts';
import { readPolicy } from './read-policy.ts';

type Rule = Readonly<Record<string, unknown>>;

const policy = (...rules: readonly Rule[]) => readPolicy(Buffer.from(JSON.stringify({ rules })));
const rule = (action: string, identifier: string, more: Rule = {}, updates?: Rule): Rule => ({
  action,
  selector: { identifier, ...more },
  ...(updates && { updates }),
});
const convert = (from: string, to: string, more: Rule = {}) =>
  rule('CONVERT', from, more, { identifier: to });

const used = (policies: ReturnType<typeof policy>[], identifier: string, attrs = {}) =>
  sourceEvaluator(policies)({ identifier, attrs });

function refused(work: () => unknown): KilnError {
  try {
    work();
  } catch (error) {
    if (error instanceof KilnError) return error;
  }
  throw new Error('it was not refused');
}

const BUSYBOX = 'docker-image://docker.io/library/busybox:latest';
const ALPINE = 'docker-image://docker.io/library/alpine:latest';

test('of ALLOW and DENY the last rule of a policy that matches decides, in each policy', () => {
  const denied = (...policies: ReturnType<typeof policy>[]) => {
    try {
      used(policies, ALPINE);
      return false;
    } catch {
      return true;
    }
  };
  const [all, own] = ['*', ALPINE];
  assert.is(denied(policy(rule('ALLOW', own), rule('DENY', all))), true);
  assert.is(denied(policy(rule('DENY', all), rule('ALLOW', own))), false);
  assert.is(denied(policy(rule('DENY', all)), policy(rule('ALLOW', own))), true);
  assert.is(denied(policy(rule('DENY', BUSYBOX))), false);
  const error = refused(() => used([policy(rule('DENY', all))], ALPINE));
  assert.is(error.code, 'KILN_SOURCE_DENIED');
  assert.is(error.message, `source "${ALPINE}" denied by policy: source denied by policy`);
});

test('a source is replaced, and what replaces it is evaluated again', () => {
  const to = (tag: string) => `docker-image://docker.io/library/debian:${tag}`;
  const chain = policy(
    convert(BUSYBOX, ALPINE),
    convert(ALPINE, to('a')),
    convert(to('a'), to('b')),
  );
  assert.is(used([chain], BUSYBOX).identifier, to('b'));
  const then = [policy(rule('DENY', 'docker-image://*alpine:*'), convert(BUSYBOX, ALPINE))];
  assert.is(refused(() => used(then, BUSYBOX)).code, 'KILN_SOURCE_DENIED');
  const circle = policy(convert(BUSYBOX, ALPINE), convert(ALPINE, BUSYBOX));
  assert.match(refused(() => used([circle], BUSYBOX)).message, /too many operations/);
});

test('what * and groups match comes in the place of their numbers', () => {
  const name = (tag: string) => `docker-image://docker.io/library/golang:${tag}`;
  const wild = convert('docker-image://docker.io/library/*:*', 'docker-image://mirror/${1}:$2-x');
  const from = name('1.19');
  assert.is(used([policy(wild)], from).identifier, 'docker-image://mirror/golang:1.19-x');
  const pattern = '^docker-image://docker\\.io/(?P<rest>[^@]+)$';
  const named = convert(pattern, 'docker-image://mirror/${rest}', { match_type: 'REGEX' });
  assert.is(used([policy(named)], from).identifier, 'docker-image://mirror/library/golang:1.19');
  const part = convert('golang:(.*)', 'go:${1}', { match_type: 2 });
  assert.is(used([policy(part)], from).identifier, 'docker-image://docker.io/library/go:1.19');
});

test('the first * matches as much as it can, and a line break ends a name', () => {
  const split = (text: string) => {
    const both = convert('a*b*c', '[$1][$2]');
    return used([policy(both)], text).identifier;
  };
  assert.is(split('a1b2b3c'), '[1b2][3]');
  assert.is(split('abc'), '[][]');
  assert.is(split('ac'), 'ac');
  assert.is(split('ab\nc'), 'ab\nc');
  assert.match(
    refused(() => used([policy(rule('DENY', '**'))], 'x')).message,
    /invalid wildcard: "\*\*"/,
  );
});

test('EXACT means one source, and constraints all have to hold', () => {
  const exact = policy(rule('DENY', '*', { match_type: 'EXACT' }));
  assert.is(used([exact], ALPINE).identifier, ALPINE);
  const with_ = (condition: string | number, value: string) =>
    policy(rule('DENY', '*', { constraints: [{ key: 'k', value, condition }] }));
  const isDenied = (denying: ReturnType<typeof policy>, attrs: object) => {
    try {
      used([denying], ALPINE, attrs);
      return false;
    } catch {
      return true;
    }
  };
  assert.is(isDenied(with_('EQUAL', 'v'), { k: 'v' }), true);
  assert.is(isDenied(with_('EQUAL', 'v'), {}), false);
  assert.is(isDenied(with_('EQUAL', ''), {}), true);
  assert.is(isDenied(with_('NOTEQUAL', 'v'), { k: 'v' }), false);
  assert.is(isDenied(with_(2, '^v+$'), { k: 'vv' }), true);
  assert.is(isDenied(with_('MATCHES', '^v+$'), { k: 'w' }), false);
});

test('attributes are set, and setting what is there changes nothing', () => {
  const checksum = { 'http.checksum': 'sha256:1' };
  const url = 'https://example.com/f';
  for (const selector of [url, 'https://*']) {
    const sets = policy(rule('CONVERT', selector, {}, { attrs: checksum }));
    assert.equal(used([sets], url, { other: '1' }), {
      identifier: url,
      attrs: { other: '1', ...checksum },
    });
  }
});

test('a hostile expression ends, and one that Go does not know is refused', () => {
  const regex = (identifier: string) => policy(rule('DENY', identifier, { match_type: 'REGEX' }));
  const slow = refused(() => used([regex('^(a+)+$')], `${'a'.repeat(60)}!`));
  assert.match(slow.message, /takes too long/);
  for (const bad of ['(', '(?=a)', '(a)\\1', 'a**'])
    assert.is(refused(() => used([regex(bad)], 'x')).code, 'KILN_POLICY_INVALID', bad);
  assert.is(refused(() => used([regex('(?i)ALPINE')], ALPINE)).code, 'KILN_SOURCE_DENIED');
  assert.is(
    refused(() => used([regex('[[:alpha:]]+:latest\\z')], ALPINE)).code,
    'KILN_SOURCE_DENIED',
  );
});

test('names of images are completed, and a repository is fetched from where it says', () => {
  const source = (identifier: string, attrs = {}) => normalSource({ identifier, attrs }).identifier;
  assert.is(source('docker-image://alpine'), ALPINE);
  const attrs = { 'git.fullurl': 'https://user:x@github.com/a/b.git' };
  const id = 'git://github.com/a/b.git#main:dir';
  assert.is(source(id, attrs), id);
  assert.is(source(id, { 'git.fullurl': 'git@github.com:a/b.git' }), id);
  assert.is(source(id, { 'git.fullurl': 'ssh://git@GitHub.com/a/b.git' }), id);
  const other = { 'git.fullurl': 'https://evil.example/a/b.git' };
  assert.is(refused(() => source(id, other)).code, 'KILN_GIT_URL');
});

test('what is wrong in the JSON of a policy is named', () => {
  const read = (text: string) => refused(() => readPolicy(Buffer.from(text))).message;
  assert.match(read('{'), /it is not JSON/);
  assert.match(read('[]'), /the policy is a list, and must be an object/);
  assert.match(read('{"rules":{}}'), /rules is an object, and must be a list/);
  assert.match(read('{"rules":[{}]}'), /rules\[0\].selector is missing/);
  assert.match(
    read('{"rules":[{"action":"REFUSE","selector":{}}]}'),
    /rules\[0\].action is "REFUSE", and must be one of ALLOW, DENY, CONVERT/,
  );
  const empty = readPolicy(Buffer.from('{"Rules":[{"Selector":{"Identifier":"*"},"more":1}]}'));
  assert.is(empty.rules[0]?.selector.identifier, '*');
  assert.equal(readPolicy(Buffer.from('{}')), { rules: [] });
});

test.run();
