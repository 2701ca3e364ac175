import { createServer } from 'node:http';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { MEDIA } from '../base/oci.ts';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { close, listen, Repositories, serveGit } from '../solver/ops/git/testing.ts';
import { Content } from './proto/content.gen.ts';
import { Control } from './proto/control.gen.ts';
import { LLBBridge, type ResolveSourceMetaResponse } from './proto/gateway.gen.ts';
import { filesGraph, type ImageDocument, Served } from './served-fixture.ts';

const missing = registryMissing();
if (missing) throw new Error(missing);

const { resolveSourceMeta } = LLBBridge.method;
type Asked = MessageInitShape<typeof resolveSourceMeta.input>;

/** What a client that drives a build is told of sources. */
async function told(served: Served, ...asked: readonly Asked[]) {
  const answers: ResolveSourceMetaResponse[] = [];
  await served.drive({}, async (bridge) => {
    for (const one of asked) answers.push(await bridge.call(resolveSourceMeta, one));
    return {};
  });
  assert.equal(served.bugs, []);
  return answers;
}

test('a file is told by its digest, its name and its time', async () => {
  await using served = await Served.open();
  const server = createServer((_request, response) =>
    response
      .setHeader('last-modified', 'Wed, 21 Oct 2015 07:28:00 GMT')
      .setHeader('content-disposition', 'attachment; filename="named.txt"')
      .end('text'),
  );
  const url = await listen(server);
  try {
    const attrs = { 'http.checksum': `sha256:${'0'.repeat(64)}` };
    const [plain, checked] = await told(
      served,
      { source: { identifier: `${url}/f` } },
      { source: { identifier: `${url}/g`, attrs } },
    );
    const { checksum, filename, lastModified } = plain!.http!;
    assert.equal([checksum, filename], [digestOf('text'), 'named.txt']);
    assert.is(timestampDate(lastModified!).toISOString(), '2015-10-21T07:28:00.000Z');
    // The checksum of what the server has, not the one that is expected.
    assert.is(checked!.http?.checksum, digestOf('text'));
    assert.is(plain!.git, undefined);
  } finally {
    await close(server);
  }
});

test('a ref is told by its commit and its tag, with their objects when wanted', async () => {
  await using served = await Served.open();
  using repositories = new Repositories();
  const commit = repositories.commit('r', { a: '1' });
  repositories.git('r', 'tag', '-a', 'v1', '-m', 'the tag');
  const tag = repositories.git('r', 'rev-parse', 'v1');
  repositories.publish('r');
  await using server = await serveGit(repositories.served);
  const url = `${server.url}/r.git`;
  const source = (ref: string) => ({
    identifier: `git://${url.replace('http://', '')}#${ref}`,
    attrs: { 'git.fullurl': url },
  });
  const [branch, plain, full] = await told(
    served,
    { source: source('main') },
    { source: source('v1') },
    { source: source('v1'), git: { returnObject: true } },
  );
  const { checksum, commitChecksum, ref } = branch!.git!;
  assert.equal([checksum, commitChecksum, ref], [commit, '', 'refs/heads/main']);
  assert.is(plain!.git?.ref, 'refs/tags/v1');
  assert.equal([plain!.git?.checksum, plain!.git?.commitChecksum], [tag, commit]);
  assert.is(plain!.git?.commitObject.byteLength, 0);
  const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString();
  assert.match(text(full!.git?.commitObject), /^tree [0-9a-f]{40}\n/);
  assert.match(text(full!.git?.tagObject), new RegExp(`^object ${commit}\n(.|\n)*the tag`));
});

test('an image is told with what is attested about it, from a registry as from here', async () => {
  await using registry = await startRegistry();
  await using served = await Served.open();
  const name = `${registry.host}/a:1`;
  const exporters = [{ type: 'image', attrs: { name, push: 'true', 'oci-artifact': 'true' } }];
  await served.client.call(Control.method.solve, {
    ref: 'made',
    definition: filesGraph({ '/f': 'x' }),
    frontendAttrs: { 'attest:provenance': 'mode=min' },
    exporters,
  });
  await using other = await Served.open();
  const types = ['https://slsa.dev/provenance/v0.2'];
  const source = { identifier: `docker-image://${name}` };
  for (const asked of [served, other]) {
    const [plain, chained, attested] = await told(
      asked,
      { source, image: { noConfig: true } },
      { source, image: { attestationChain: true } },
      { source, image: { resolveAttestations: types } },
    );
    assert.is(plain!.image?.config.byteLength, 0);
    assert.is(plain!.image?.attestationChain, undefined);
    assert.ok(chained!.image!.config.byteLength > 0);
    const { root, imageManifest, attestationManifest, blobs } = attested!.image!.attestationChain!;
    assert.is(root, attested!.image?.digest);
    const json = <T>(digest: string) =>
      JSON.parse(Buffer.from(blobs[digest]!.data).toString()) as T;
    const { layers } = json<ImageDocument>(attestationManifest);
    const statement = json<Statement>(layers[0]!.digest);
    assert.is(statement.predicateType, types[0]);
    assert.is(`sha256:${statement.subject[0]?.digest.sha256}`, imageManifest);
    assert.is(Object.keys(chained!.image!.attestationChain!.blobs).length, 2);
  }
});

interface Statement {
  readonly predicateType: string;
  readonly subject: readonly { readonly digest: { readonly sha256: string } }[];
}

test('an image in a layout of the client is told by both calls', async () => {
  await using served = await Served.open();
  const blobs = new Map<string, Buffer>();
  const put = (value: object, mediaType: string) => {
    const data = Buffer.from(JSON.stringify(value));
    const digest = digestOf(data);
    blobs.set(digest, data);
    return { mediaType, digest, size: data.byteLength };
  };
  const rootfs = { type: 'layers', diff_ids: [] };
  const platform = { os: 'linux', architecture: 'amd64' };
  const config = put({ ...platform, config: { Env: ['A=1'] }, rootfs }, MEDIA.ociConfig);
  const mediaType = MEDIA.ociManifest;
  const { digest } = put({ schemaVersion: 2, mediaType, config, layers: [] }, mediaType);
  const id = 'a session';
  using _session = served.client.openSession(id, (router) =>
    router.service(Content, {
      async *read(request) {
        const data = blobs.get(request.digest);
        if (!data) throw new ConnectError('no such blob', Code.NotFound);
        yield { data };
      },
    }),
  );
  const ref = `example.com/a@${digest}`;
  await served.drive({ session: id }, async (bridge) => {
    const asked = { ref, platform, resolverType: 1, sessionId: id, storeId: 'store' };
    const image = await bridge.call(LLBBridge.method.resolveImageConfig, asked);
    assert.is(image.digest, digest);
    assert.equal(JSON.parse(Buffer.from(image.config).toString()).config, { Env: ['A=1'] });
    const attrs = { 'oci.session': id, 'oci.store': 'store' };
    const source = { identifier: `oci-layout://${ref}`, attrs };
    const meta = await bridge.call(resolveSourceMeta, { source, platform });
    assert.is(meta.image?.digest, digest);
    assert.is(meta.source?.identifier, source.identifier);
    return {};
  });
  assert.equal(served.bugs, []);
});

test('nothing is told of a directory, and what is no source is an error', async () => {
  await using served = await Served.open();
  const [local] = await told(served, { source: { identifier: 'local://context' } });
  assert.is(local!.source?.identifier, 'local://context');
  assert.equal([local!.image, local!.git, local!.http], [undefined, undefined, undefined]);
  const wrong = served.refused(told(served, { source: { identifier: 'git://' } }));
  assert.match((await wrong).text, /KILN_GIT_URL/);
  const layout = { source: { identifier: 'oci-layout://nowhere' } };
  assert.match((await served.refused(told(served, layout))).text, /nowhere/);
});

test('a client finds the graphs that it sends along, as a frontend does', async () => {
  await using served = await Served.open();
  const frontendInputs = { context: filesGraph({ '/f': 'sent along' }) };
  await served.drive({ frontendInputs }, async (bridge) => {
    const { definitions } = await bridge.call(LLBBridge.method.inputs, {});
    const { ref } = await bridge.call(LLBBridge.method.solve, {
      definition: definitions['context']!,
    });
    const { data } = await bridge.call(LLBBridge.method.readFile, { ref, filePath: '/f' });
    assert.is(Buffer.from(data).toString(), 'sent along');
    return {};
  });
});

test.run();
