import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { parseReference } from '../base/reference.ts';
import { output } from './output-text.ts';
import { buildRequest, imageContext, remoteContext } from './request.ts';
import { requestFromJson, requestToJson } from './request-json.ts';

const CACHE_FORM = {
  mode: 'max',
  imageManifest: true,
  ociTypes: true,
  compression: 'zstd',
  level: 3,
  forceCompression: false,
  ignoreError: false,
} as const;

const FULL = buildRequest({
  context: remoteContext('https://example.com/app.git#main'),
  dockerfile: { kind: 'file', path: '/src/D', name: 'D' },
  namedContexts: new Map([
    ['base', imageContext('alpine:3.22')],
    ['1', { kind: 'directory', name: '1' }],
  ]),
  tags: ['app:1'],
  target: 'end',
  buildArgs: new Map([
    ['2', 'b'],
    ['1', 'a'],
  ]),
  platforms: [{ os: 'linux', architecture: 'arm', variant: 'v7' }],
  noCache: ['end'],
  ulimits: [{ name: 'nofile', soft: 1, hard: -1 }],
  limits: { memory: 1 << 20, memorySwap: -1, cpusetCpus: '0-1' },
  epoch: 5,
  outputs: [
    output('type=oci,dest=a.tar,compression=zstd', ['app:1']),
    output('type=local,dest=out'),
    output('type=registry', ['a']),
  ],
  cacheFrom: [{ type: 'registry', ref: parseReference('localhost:5000/cache:1') }],
  cacheTo: [
    { type: 'inline' },
    { type: 'registry', ref: parseReference('localhost:5000/cache:2'), ...CACHE_FORM },
    { type: 'local', dest: '/cache', tag: 'v1', ...CACHE_FORM },
  ],
  squash: true,
  secretsInKeys: ['s'],
  parallelism: 3,
});

test('a request read from its JSON form is the same, with its maps in the same order', () => {
  for (const request of [FULL, buildRequest({})]) {
    const json = requestToJson(request);
    assert.is(requestToJson(requestFromJson(json)), json);
  }
  assert.equal(
    requestFromJson(requestToJson(FULL)).outputs,
    JSON.parse(JSON.stringify(FULL.outputs)),
  );
  assert.equal([...requestFromJson(requestToJson(FULL)).buildArgs.keys()], ['2', '1']);
});

test('a field that is left out has the value of a plain build', () => {
  assert.is(requestToJson(requestFromJson('{}')), requestToJson(buildRequest({})));
});

test('an error names the field that is unknown or has a wrong value', () => {
  const refused = (text: string): string => {
    try {
      requestFromJson(text);
    } catch (error) {
      assert.instance(error, KilnError);
      assert.is((error as KilnError).code, 'KILN_REQUEST_INVALID');
      return (error as KilnError).message;
    }
    return '';
  };
  for (const [text, name] of [
    ['[]', 'object'],
    ['{', 'JSON'],
    ['{"tag":[]}', 'tag'],
    ['{"tags":"a"}', 'tags is "a", not a list'],
    ['{"context":{"kind":"shell"}}', 'context'],
    ['{"context":{"kind":"__proto__"}}', 'context.kind is "__proto__", not one of directory'],
    ['{"buildArgs":[["a"]]}', 'buildArgs'],
    ['{"shmSize":-1}', 'shmSize'],
    ['{"outputs":[{"type":"local"}]}', 'outputs[0].directory is missing, not a string'],
    ['{"cacheFrom":[{"type":"registry","ref":"host/app:1"}]}', 'cacheFrom'],
    [
      '{"cacheFrom":[{"type":"registry","ref":{"domain":"host.example",' +
        '"path":"../app","tag":"1"}}]}',
      'cacheFrom',
    ],
    ['{"cacheTo":[{"type":"local","dest":"/cache"}]}', 'cacheTo[0].tag is missing'],
    [
      '{"context":{"kind":"remote","url":"https://h/a.git#main"}}',
      'context.git is not the repository of "https://h/a.git#main"',
    ],
    [
      '{"namedContexts":[["a",{"kind":"image","ref":"alpine"}]]}',
      'namedContexts[0][1].reference is not the image "alpine"',
    ],
    ['{"dockerfile":{"kind":"graph","name":"F"}}', 'dockerfile.definition is missing'],
    ['{"noCache":"some"}', 'noCache is "some", not one of none, all'],
    ['{"outputs":[{"type":"image","image":{}}]}', 'outputs[0].image.names is missing'],
    [
      '{"outputs":[{"type":"tar","destination":{"kind":"stdout"}}]}',
      'outputs[0].destination.kind is "stdout", not one of file, lent',
    ],
    ['{"limits":{"pids":"many"}}', 'limits.pids is "many", not an integer'],
    ['{"epoch":-1}', 'epoch is -1, which is below 0'],
  ])
    assert.match(refused(text!), name!);
});

test.run();
