import { Code, ConnectError } from '@connectrpc/connect';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OpenByName } from './open-by-name.ts';

const never = new AbortController().signal;
const codeOf = (error: unknown) => (error instanceof ConnectError ? error.code : undefined);

test('what is opened later is found by all who waited for it, and no other', async () => {
  const open = new OpenByName<string>('build', 60_000);
  const found = [open.find('a', never), open.find('a', never)];
  open.add('b', 'other');
  open.add('a', 'one');
  assert.equal(await Promise.all(found), ['one', 'one']);
  assert.is(await open.find('b', never), 'other');
});

test('a name is used once at a time', async () => {
  const open = new OpenByName<string>('build', 60_000);
  open.add('a', 'one');
  assert.throws(
    () => open.add('a', 'two'),
    (error: unknown) => codeOf(error) === Code.AlreadyExists,
  );
  open.delete('a');
  open.add('a', 'two');
  assert.is(await open.find('a', never), 'two');
});

test('what does not come is not found, at the latest when nobody asks any more', async () => {
  const missing = (waitMs: number, signal: AbortSignal) =>
    new OpenByName('build', waitMs).find('a', signal).catch(codeOf);
  assert.is(await missing(1, never), Code.NotFound);
  assert.is(await missing(60_000, AbortSignal.abort()), Code.NotFound);
  const cancel = new AbortController();
  const waited = missing(60_000, cancel.signal);
  cancel.abort();
  assert.is(await waited, Code.NotFound);
});

test.run();
