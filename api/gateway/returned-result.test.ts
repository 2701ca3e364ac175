import type { MessageInitShape } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ImageConfig } from '../../base/oci.ts';
import {
  AttestationKind,
  InTotoSubjectKind,
  LLBBridge,
  type ResultSchema,
} from '../proto/gateway.gen.ts';
import { filesGraph, type ImageDocument, Served } from '../served-fixture.ts';

type ResultInit = MessageInitShape<typeof ResultSchema>;

let served: Served;
test.before(async () => {
  served = await Served.open();
});
test.after(async () => {
  assert.equal(served.bugs, []);
  await served[Symbol.asyncDispose]();
});

const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
const inline = (files: Readonly<Record<string, string>>) => ({ def: filesGraph(files) });
const IMAGE = { exporters: [{ type: 'image', attrs: { name: 'example.com/a:1' } }] };
const PLATFORMS = bytes({
  Platforms: [
    { ID: 'small', Platform: { os: 'linux', architecture: 'arm', variant: 'v6' } },
    { ID: 'linux/amd64', Platform: { os: 'linux', architecture: 'amd64' } },
  ],
});

const export_ = (result: ResultInit, request = {}) =>
  served.drive({ ...IMAGE, ...request }, async () => ({ result }));

const refused = (result: ResultInit, request = {}) => served.refused(export_(result, request));

test('attestations of a result are in its image, about what they say', async () => {
  const response = await served.drive(IMAGE, async (bridge) => {
    const { ref } = await bridge.call(LLBBridge.method.solve, {
      definition: filesGraph({ '/f': 'text' }),
    });
    const bundle = {
      '/one.json': JSON.stringify({
        _type: 'https://in-toto.io/Statement/v1',
        predicateType: 'https://example.com/bundled',
        subject: [{ name: 'ignored', digest: { sha256: 'aa' } }],
        predicate: { is: 'bundled' },
      }),
    };
    return {
      result: {
        result: { case: 'ref', value: { id: ref } },
        metadata: {
          'refs.platforms': bytes({
            Platforms: [{ ID: 'x', Platform: { os: 'linux', architecture: 'amd64' } }],
          }),
        },
        attestations: {
          x: {
            attestation: [
              {
                kind: AttestationKind.InToto,
                ref: inline({ '/p.json': '{"is":"plain"}' }),
                path: '/p.json',
                inTotoPredicateType: 'https://example.com/plain',
                inTotoSubjects: [
                  { kind: InTotoSubjectKind.Self },
                  { kind: InTotoSubjectKind.Raw, name: 'x', digest: ['sha256:bb', 'sha512:cc'] },
                ],
              },
              { kind: AttestationKind.Bundle, ref: inline(bundle), path: '/' },
            ],
          },
        },
      },
    };
  });
  const index = served.document(response['containerimage.digest']);
  assert.is(index.manifests.length, 2);
  const { layers } = served.document(index.manifests[1]!.digest);
  const statements = layers.map(({ digest }) => served.document<Statement>(digest));
  const own = index.manifests[0]!.digest.slice('sha256:'.length);
  assert.equal(
    statements.map(({ predicateType, predicate }) => [predicateType, predicate]),
    [
      ['https://example.com/plain', { is: 'plain' }],
      ['https://example.com/bundled', { is: 'bundled' }],
    ],
  );
  assert.equal(
    statements.map(({ subject }) => subject.map(({ digest }) => digest)),
    [[{ sha256: own }, { sha256: 'bb', sha512: 'cc' }], [{ sha256: own }]],
  );
});

interface Statement {
  readonly predicateType: string;
  readonly predicate: object;
  readonly subject: readonly { readonly name: string; readonly digest: object }[];
}

const SPDX = 'https://spdx.dev/Document';

test('an SBOM that comes with a result takes the place of the one asked for', async () => {
  const request = { ...IMAGE, frontendAttrs: { 'attest:sbom': '' } };
  const statement = (type: string, reason: string) => ({
    '': {
      attestation: [
        {
          ref: inline({ '/s.json': '{}' }),
          path: 's.json',
          inTotoPredicateType: type,
          metadata: { reason: Buffer.from(reason) },
        },
      ],
    },
  });
  const types = async (type: string, reason: string) => {
    const response = await export_(
      {
        result: { case: 'ref', value: inline({ '/f': 'x' }) },
        attestations: statement(type, reason),
      },
      request,
    );
    const { manifests } = served.document(response['containerimage.digest']);
    return served
      .document(manifests[1]!.digest)
      .layers.map(({ digest }) => served.document<Statement>(digest).predicateType);
  };
  // Its type says what it is, or the reason that it is there for.
  assert.equal(await types(SPDX, ''), [SPDX]);
  assert.equal(await types('https://example.com/own', 'sbom'), ['https://example.com/own']);
  assert.equal(await types('https://example.com/own', 'other'), ['https://example.com/own', SPDX]);
});

test('an SBOM tells the layer of each file that the image has', async () => {
  const files = [{ fileName: '/f' }, { fileName: '/none' }, { fileName: 'f', comment: 'own' }];
  const creationInfo = { creators: ['Tool: scanner'] };
  const body = { files, packages: [{ files: files.slice(0, 1) }], creationInfo };
  const attested = (core: string) => ({
    attestation: [
      {
        ref: inline({ '/result.spdx': JSON.stringify(body) }),
        path: '/result.spdx',
        inTotoPredicateType: SPDX,
        metadata: { 'sbom-core': Buffer.from(core) },
      },
    ],
  });
  const told = async (core: string) => {
    const response = await export_(
      {
        result: { case: 'ref', value: inline({ '/f': 'x' }) },
        attestations: { '': attested(core) },
      },
      { ...IMAGE, frontendAttrs: { 'attest:sbom': '' } },
    );
    const { manifests } = served.document(response['containerimage.digest']);
    const [layer] = served.document(manifests[0]!.digest).layers;
    const [statement] = served.document(manifests[1]!.digest).layers;
    return { layer: layer!.digest, ...served.document<Statement>(statement!.digest) };
  };
  const { layer, predicate } = await told('result');
  const here = { fileName: '/f', comment: `layerID: ${layer}` };
  assert.equal(predicate, {
    files: [here, ...files.slice(1)],
    packages: [{ files: [here] }],
    creationInfo: { creators: ['Tool: scanner', 'Tool: kiln'] },
  });
  assert.equal((await told('another')).predicate, body);
});

test('what is no attestation is an error of the build', async () => {
  const attested = (attestation: object): ResultInit => ({
    result: { case: 'ref', value: inline({ '/f': 'x' }) },
    attestations: { '': { attestation: [attestation] } },
  });
  const messageOf = async (attestation: object) => {
    const error = await refused(attested(attestation));
    assert.is(error.code, status.INVALID_ARGUMENT);
    return error.text;
  };
  assert.match(await messageOf({ path: '/p' }), /it has no tree/);
  const ref = inline({ '/p': 'no json' });
  assert.match(await messageOf({ ref, path: '/p' }), /"\/p" .* it is not JSON/);
  assert.match(await messageOf({ ref, path: '/../../etc/passwd' }), /no such file/);
  const statement = inline({ '/s.json': '{"predicateType":"a","predicate":{}}' });
  const kind = AttestationKind.Bundle;
  const bundle = { ref: statement, path: '/', kind, inTotoPredicateType: 'b' };
  assert.match(await messageOf(bundle), /bundle entry a does not match .* type b/);
  assert.match(await messageOf({ ref, path: '/', kind: 7 }), /unknown attestation kind 7/);
  const inTotoSubjects = [{ kind: InTotoSubjectKind.Raw, digest: ['sha256'] }];
  assert.match(await messageOf({ ref, path: '/p', inTotoSubjects }), /digest "sha256"/);
});

test('refs are of platforms by IDs, whatever these are', async () => {
  const refs = { small: inline({ '/f': 'small' }), 'linux/amd64': inline({ '/f': 'amd64' }) };
  const config = { os: 'linux', architecture: 'arm', config: { Env: ['A=1'] } };
  const response = await export_({
    result: { case: 'refs', value: { refs } },
    metadata: { 'refs.platforms': PLATFORMS, 'containerimage.config/small': bytes(config) },
  });
  const { manifests } = served.document(response['containerimage.digest']);
  const byPlatform = new Map(
    manifests.map(({ digest, platform }) => [
      platform?.architecture,
      served.document<ImageDocument>(digest),
    ]),
  );
  const small = served.document<ImageConfig>(byPlatform.get('arm')!.config.digest);
  assert.equal(small.config, { Env: ['A=1'] });
  assert.equal([...byPlatform.keys()].sort(), ['amd64', 'arm']);
});

test('refs without platforms are refused when they are exported', async () => {
  const refs = { a: inline({ '/f': '1' }), b: inline({ '/f': '2' }) };
  const result: ResultInit = { result: { case: 'refs', value: { refs } } };
  const error = await refused(result);
  assert.match(error.text, /unable to export multiple refs, missing platforms mapping/);
  assert.equal(await export_(result, { exporters: [] }), {});
  const missing = await refused({
    result: { case: 'refs', value: { refs: { small: refs.a } } },
    metadata: { 'refs.platforms': PLATFORMS },
  });
  assert.match(missing.text, /failed to find ref for ID linux\/amd64/);
});

test('a result annotates its image, dates it, and tells its caller things', async () => {
  const response = await export_({
    result: { case: 'ref', value: inline({ '/f': 'x' }) },
    metadata: {
      'annotation.own': Buffer.from('1'),
      'annotation-manifest[linux/s390x].other': Buffer.from('2'),
      'source.date.epoch': Buffer.from('1000000000'),
      'frontend.told': Buffer.from('yes'),
      'containerimage.buildinfo': Buffer.from('{}'),
      other: Buffer.from('no'),
    },
  });
  assert.is(response['frontend.told'], 'yes');
  assert.is(response['other'], undefined);
  const manifest = served.document(response['containerimage.digest']);
  assert.equal(manifest.annotations, { own: '1' });
  const config = served.document<{ created: string }>(manifest.config.digest);
  assert.is(config.created, '2001-09-09T01:46:40Z');
});

test('a config that is none, and metadata that is no UTF-8, are errors', async () => {
  const result: ResultInit['result'] = { case: 'ref', value: inline({ '/f': 'x' }) };
  const bad = await refused({ result, metadata: { 'containerimage.config': Buffer.from('[') } });
  assert.match(bad.text, /containerimage.config of the result/);
  const platforms = await refused({ result, metadata: { 'refs.platforms': Buffer.from([0xff]) } });
  assert.match(platforms.text, /refs.platforms of the result is not a JSON object/);
  for (const name of ['..', 'a\0b', 'a'.repeat(300)]) {
    const refs = { [name]: inline({ '/f': 'x' }) };
    const named = await refused({ result: { case: 'refs', value: { refs } } });
    assert.match(named.text, /cannot name a directory/);
  }
  const unknown = await refused({ result: { case: 'ref', value: { id: 'none' } } });
  assert.is(unknown.code, status.NOT_FOUND);
});

test("platforms and configs of a result are refused in BuildKit's words", async () => {
  const ref: ResultInit['result'] = { case: 'ref', value: inline({ '/f': 'text' }) };
  const told = async (metadata: Record<string, Buffer>) =>
    (await refused({ result: ref, metadata })).text;
  const platforms = (list: unknown) => ({ 'refs.platforms': bytes(list) });
  const config = (value: unknown) => ({ 'containerimage.config': bytes(value) });
  assert.match(await told(platforms(null)), /invalid empty platforms index for exporter/);
  assert.match(
    await told(platforms({ Platforms: [{ ID: '' }] })),
    /invalid empty platform key for exporter/,
  );
  assert.match(await told(platforms({ Platforms: [{ ID: 'foo' }] })), /invalid platform value/);
  assert.match(await told(config(null)), /invalid null image config for export/);
  assert.match(
    await told(config({ architecture: 'amd64', os: '' })),
    /os and architecture must be specified together/,
  );
  // What the list of platforms says need not be in the config.
  await export_({
    result: ref,
    metadata: {
      ...platforms({ Platforms: [{ ID: 'a', Platform: { os: 'linux', architecture: 'amd64' } }] }),
      ...config({ architecture: '', os: 'linux' }),
    },
  });
});

test('a map of results with one entry has an index, and annotations of one', async () => {
  const response = await export_(
    {
      result: { case: 'refs', value: { refs: { 'linux/amd64': inline({ '/f': 'text' }) } } },
      metadata: {
        'refs.platforms': bytes({
          Platforms: [{ ID: 'linux/amd64', Platform: { os: 'linux', architecture: 'amd64' } }],
        }),
      },
    },
    {
      exporters: [{ type: 'image', attrs: { name: 'example.com/a:1', 'annotation-index.c': 'd' } }],
    },
  );
  const descriptor = JSON.parse(
    Buffer.from(response['containerimage.descriptor']!, 'base64').toString(),
  );
  assert.is(descriptor.mediaType, 'application/vnd.oci.image.index.v1+json');
});

test.run();
