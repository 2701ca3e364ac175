import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { statusMessage } from './status-messages.ts';

test('what is transferred is in the id of a status, and not in its name', () => {
  const common = {
    kind: 'status',
    vertex: digestOf('v'),
    current: 1,
    total: 0,
    timestamp: 0,
  } as const;
  const names = ['transferring foo:', 'extracting'];
  const { statuses } = statusMessage(names.map((name) => ({ ...common, id: name, name })));
  assert.equal(
    statuses.map(({ id, name }) => [id, name]),
    [
      ['transferring foo:', 'transferring'],
      ['extracting', 'extracting'],
    ],
  );
});

test.run();
