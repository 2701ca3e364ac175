import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { formatReference } from '../base/reference.ts';
import { type OutputSpec, parseOutput } from './output-spec.ts';

const parse = (text: string, tags: readonly string[] = []): OutputSpec =>
  parseOutput(
    new Map(
      text.split(',').map((field) => {
        const equals = field.indexOf('=');
        return equals < 0 ? [field, ''] : [field.slice(0, equals), field.slice(equals + 1)];
      }),
    ),
    tags,
  );

function refused(text: string): KilnError {
  try {
    parse(text);
  } catch (error) {
    assert.instance(error, KilnError);
    return error as KilnError;
  }
  throw new Error(`${text} was accepted`);
}

test('names are full, each once, and name= takes precedence over -t', () => {
  const named = (text: string, tags: readonly string[]) => {
    const spec = parse(text, tags);
    return spec.type === 'image' ? spec.image.names.map(formatReference) : undefined;
  };
  assert.equal(named('type=image', ['a', 'a:latest', 'localhost:5000/b:2']), [
    'docker.io/library/a:latest',
    'localhost:5000/b:2',
  ]);
  assert.equal(named('type=image,name=c', ['a']), ['docker.io/library/c:latest']);
  assert.equal(named('type=image', []), []);
});

test('registry is image with push and without the store', () => {
  const spec = parse('type=registry,name=localhost:5000/x');
  assert.ok(spec.type === 'image' && spec.push && !spec.store);
  const image = parse('type=image,push=true');
  assert.ok(image.type === 'image' && image.push && image.store);
});

test('a flag may stand alone, and takes true and false', () => {
  const forced = (text: string) => {
    const spec = parse(`type=oci,dest=x,${text}`);
    return spec.type === 'oci' && spec.image.forceCompression;
  };
  assert.equal(
    ['force-compression', 'force-compression=1', 'force-compression=false'].map(forced),
    [true, true, false],
  );
});

test('a dash means standard output for an archive, and is refused for a directory', () => {
  const tar = parse('type=tar,dest=-');
  assert.equal(tar.type === 'tar' && tar.destination, { kind: 'lent', name: 'stdout' });
  assert.is(refused('type=local,dest=-').code, 'KILN_OUTPUT_INVALID');
  assert.is(refused('type=oci,tar=false,dest=-').code, 'KILN_OUTPUT_INVALID');
});

test('annotations state their target', () => {
  const spec = parse(
    'type=oci,dest=x,annotation.a.b=c=d,annotation-index-descriptor[linux/arm64].e=f',
  );
  assert.equal(spec.type === 'oci' && spec.image.annotations, [
    { target: 'manifest', platform: undefined, key: 'a.b', value: 'c=d' },
    {
      target: 'index-descriptor',
      platform: { os: 'linux', architecture: 'arm64' },
      key: 'e',
      value: 'f',
    },
  ]);
});

test('an error names the wrong attribute', () => {
  assert.match(refused('dest=x').message, 'type is missing');
  assert.match(refused('type=zip').message, 'zip');
  assert.match(refused('type=tar').message, 'needs dest');
  assert.match(
    refused('type=tar,dest=x,compression=gzip').message,
    'unknown attribute "compression"',
  );
  assert.match(refused('type=oci,dest=x,compression=lzma').message, 'lzma');
  assert.match(refused('type=oci,dest=x,compression-level=10').message, 'not valid for gzip');
  assert.match(
    refused('type=oci,dest=x,compression=zstd,compression-level=23').message,
    'not valid for zstd',
  );
  assert.match(refused('type=oci,dest=x,annotation-layer.a=b').message, 'layer');
  assert.match(refused('type=oci,dest=x,tar=perhaps').message, 'neither true nor false');
  assert.is(refused('type=image,name=A B').code, 'KILN_REFERENCE_INVALID');
});

test.run();
