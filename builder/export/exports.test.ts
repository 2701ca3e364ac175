import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { buildRequest } from '../request.ts';
import { memorySession } from '../session/memory-session.ts';
import { tryOutputs } from './exports.ts';

test('an output to the session is refused before the build when the session has no output', () => {
  const request = buildRequest({ outputs: [{ type: 'tar', destination: { kind: 'stdout' } }] });
  using without = memorySession({});
  assert.throws(
    () => tryOutputs(request, without),
    (error: unknown) => error instanceof KilnError && error.code === 'KILN_OUTPUT_INVALID',
  );
  using withOutput = memorySession({ output: async () => {} });
  tryOutputs(request, withOutput);
});

test.run();
