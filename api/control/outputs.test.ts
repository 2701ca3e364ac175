import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type OutputHost, readOutputs } from './outputs.ts';

/** Reads the exporters of a request from a client without a session. */
function read(type: string, attrs: Record<string, string>) {
  const warnings: string[] = [];
  const host: OutputHost = {
    session: () => ({}) as ReturnType<OutputHost['session']>,
    scratch: () => '/scratch',
    warn: (sentence) => void warnings.push(sentence),
    signal: new AbortController().signal,
  };
  const exporters = [{ type, attrs }] as unknown as Parameters<typeof readOutputs>[0]['exporters'];
  const request = { exporters, exporterDeprecated: '', exporterAttrsDeprecated: {} };
  return { specs: readOutputs(request, host).specs, warnings };
}

test('an attribute that no output of the type has is ignored, and a warning names it', () => {
  const { specs, warnings } = read('local', { 'platform-split': 'true', colour: 'red' });
  assert.equal(warnings, ['type=local has no attribute colour, which is ignored']);
  const [spec] = specs;
  assert.is(spec?.type === 'local' && spec.platformSplit, true);
});

test('annotations are ignored where there is no image, as buildx gives them to all outputs', () => {
  const attrs = { 'annotation-index.a': 'b' };
  assert.equal(read('tar', attrs).warnings, []);
  const { specs, warnings } = read('image', attrs);
  assert.equal(warnings, []);
  const [spec] = specs;
  assert.is(spec?.type === 'image' && spec.image.annotations.length, 1);
});

test('an attribute with a wrong value is an error', () => {
  assert.throws(() => read('local', { 'platform-split': 'perhaps' }), /neither true nor false/);
  assert.throws(() => read('shell', {}), /unknown type "shell"/);
});

test.run();
