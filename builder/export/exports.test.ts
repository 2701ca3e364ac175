import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { buildRequest } from '../request.ts';
import { memorySession } from '../session/memory-session.ts';
import { tryOutputs } from './exports.ts';

test('an output to the caller is refused before the build when the session takes none', () => {
  const request = buildRequest({ outputs: [{ type: 'tar', destination: { kind: 'stdout' } }] });
  using without = memorySession({});
  assert.throws(
    () => tryOutputs(request, without),
    (error: unknown) => error instanceof KilnError && error.code === 'KILN_OUTPUT_INVALID',
  );
  using taking = memorySession({ output: async () => {} });
  tryOutputs(request, taking);
});

test.run();
