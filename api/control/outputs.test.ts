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
  return { ...readOutputs(request, host), warnings };
}

test('an attribute that no output of the type has is ignored, and a warning names it', () => {
  const { specs, warnings } = read('local', { 'platform-split': 'true', colour: 'red' });
  assert.equal(warnings, ['type=local has no attribute "colour", which is ignored']);
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

test('layers of estargz are plain gzip, and a warning tells it', () => {
  const { specs, warnings } = read('image', { compression: 'estargz', 'compression-level': '5' });
  const [spec] = specs;
  assert.equal(spec?.type === 'image' && [spec.image.compression, spec.image.level], ['gzip', 5]);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /type=image has layers of plain gzip, and none of estargz/);
});

test('the level 0 of zstd is the one that zstd has by itself, as with BuildKit', () => {
  const [spec] = read('image', { compression: 'zstd', 'compression-level': '0' }).specs;
  assert.equal(spec?.type === 'image' && [spec.image.compression, spec.image.level], [
    'zstd',
    undefined,
  ]);
});

test('a registry may be called insecure, and only then it may be', () => {
  const insecure = (attrs: Record<string, string>) => {
    const [spec] = read('image', { push: 'true', ...attrs }).specs;
    return spec?.type === 'image' && spec.insecure;
  };
  assert.is(insecure({ 'registry.insecure': 'true' }), true);
  assert.is(insecure({ 'registry.insecure': 'false' }), undefined);
  assert.is(insecure({}), undefined);
});

test('an attribute with a wrong value is an error', () => {
  assert.throws(() => read('local', { 'platform-split': 'perhaps' }), /neither true nor false/);
  assert.throws(() => read('shell', {}), /unknown type "shell"/);
});

test('an image that is pushed is kept here only when the client asks for it', () => {
  const stored = (attrs: Record<string, string>) =>
    read('image', { name: 'localhost:5000/a', ...attrs }).specs.map(
      (spec) => spec.type === 'image' && spec.store,
    );
  assert.equal(stored({}), [true]);
  assert.equal(stored({ push: 'true' }), [false]);
  assert.equal(stored({ push: 'true', store: 'true' }), [true]);
});

test('an archive for Docker has its own default types; a layout is the same for both types', () => {
  const [archive] = read('docker', {}).specs;
  assert.is(archive?.type === 'docker' && archive.image.ociTypes, undefined);
  const [layout] = read('docker', { tar: 'false' }).specs;
  assert.is(layout?.type === 'oci' && !layout.tar && layout.directory, 'export');
});

test('an image may be called as the result says, which is known later', () => {
  const outputs = read('image', { name: '*' });
  assert.equal(outputs.specs, []);
  const [named] = outputs.named('app:1');
  assert.is(named?.type === 'image' && named.image.names[0]?.tag, '1');
});

test('an output has a time of its own, or none', () => {
  const epochs = (attrs: Record<string, string>) =>
    read('oci', { ...attrs }).specs.map(({ epoch }) => epoch);
  assert.equal(epochs({ 'source-date-epoch': '5' }), [5]);
  assert.equal(epochs({ 'source-date-epoch': '' }), [null]);
  assert.equal(epochs({}), [undefined]);
  assert.throws(() => epochs({ 'source-date-epoch': 'x' }), /is not a time/);
});

test('the mode of a directory is for the client, and an unknown one is an error', () => {
  assert.equal(read('local', { mode: 'delete' }).warnings, []);
  assert.throws(() => read('local', { mode: 'backup' }), /invalid local exporter mode "backup"/);
});

test.run();
