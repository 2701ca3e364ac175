import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { buildWords } from './build-words.ts';

const DOCKERFILE = { frontend: 'dockerfile.v0', local: ['context=.', 'dockerfile=sub'] };

test('flags and options of buildctl become those of kiln build', () => {
  const words = buildWords({
    ...DOCKERFILE,
    local: [...DOCKERFILE.local, 'assets=/a'],
    ociLayout: ['store=/layout'],
    opt: [
      'filename=App',
      'target=end',
      'build-arg:A=b=c',
      'label:x=',
      'platform=linux/arm64,linux/amd64',
      'no-cache=',
      'add-hosts=db=10.0.0.1,web=::1',
      'context:assets=local:assets',
      'context:base=oci-layout://store@sha256:00',
      'attest:sbom=',
      'attest:provenance=mode=max',
    ],
    output: ['type=oci,dest=o.tar'],
    exportCache: ['type=inline'],
    importCache: ['type=registry,ref=r'],
    secret: ['id=a,src=f'],
  });
  assert.equal(words, [
    '--target=end',
    '--build-arg=A=b=c',
    '--label=x=',
    '--platform=linux/arm64,linux/amd64',
    '--no-cache',
    '--add-host=db:10.0.0.1',
    '--add-host=web:::1',
    '--build-context=assets=/a',
    '--build-context=base=oci-layout:///layout@sha256:00',
    '--attest=type=sbom',
    '--attest=type=provenance,mode=max',
    '--file',
    'sub/App',
    '--output=type=oci,dest=o.tar',
    '--secret=id=a,src=f',
    '--cache-to=type=inline',
    '--cache-from=type=registry,ref=r',
    '--',
    '.',
  ]);
});

test('what has no counterpart is an error that names it', () => {
  const refused = (flags: object, pattern: RegExp) =>
    assert.throws(() => buildWords(flags), pattern);
  refused({}, /a graph on standard input/);
  refused({ frontend: 'gateway.v0', opt: ['source=example/f'] }, /gateway\.v0 example\/f/);
  refused({ ...DOCKERFILE, opt: ['unheard-of=1'] }, /unheard-of/);
  refused({ ...DOCKERFILE, opt: ['alone'] }, /"alone" is not NAME=VALUE/);
  refused({ frontend: 'dockerfile.v0' }, /no context/);
  const gateway = { ...DOCKERFILE, frontend: 'gateway.v0', opt: ['source=docker/dockerfile:1'] };
  assert.is(buildWords(gateway).at(-1), '.');
});

test.run();
