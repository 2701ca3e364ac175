import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Control } from '../proto/control.gen.ts';
import { LLBBridge } from '../proto/gateway.gen.ts';
import { filesGraph, type ImageDocument, Served } from '../served-fixture.ts';

const { solve, readFile } = LLBBridge.method;

/** Begins a build that is driven under `ref`, with an image as its output. */
function begin(served: Served, ref: string) {
  const exporters = [{ type: 'image', attrs: { name: ref } }];
  const ended = served.client.call(Control.method.solve, { ref, exporters });
  ended.catch(() => {});
  return { ended, headers: { 'buildkit-controlapi-buildid': ref } };
}

test('the last call of a caller without Return says what is exported', async () => {
  await using served = await Served.open();
  const { ended, headers } = begin(served, 'last');
  const config = { architecture: 'amd64', os: 'linux', config: { Labels: { by: 'final' } } };
  const said = {
    'containerimage.config': Buffer.from(JSON.stringify(config)).toString('base64'),
    'frontend.note': Buffer.from('heard').toString('base64'),
  };
  const answer = await served.client.call(
    solve,
    {
      definition: filesGraph({ '/f': 'text' }),
      final: true,
      exporterAttr: Buffer.from(JSON.stringify(said)),
    },
    headers,
  );
  assert.ok(answer.ref);
  const { exporterResponse } = await ended;
  assert.is(exporterResponse['frontend.note'], 'heard');
  const manifest = served.document(exporterResponse['containerimage.digest']);
  const written = served.document<ImageDocument & typeof config>(manifest.config.digest);
  assert.equal(written.config.Labels, { by: 'final' });
  assert.is(manifest.layers.length, 1);
  assert.equal(served.bugs, []);
});

test('attributes of the last call that are no JSON of bytes are refused', async () => {
  await using served = await Served.open();
  const { ended, headers } = begin(served, 'wrong');
  const definition = filesGraph({ '/f': 'text' });
  for (const text of ['', '[]', '{"a":1}', '"x"', '{']) {
    const call = { definition, final: true, exporterAttr: Buffer.from(text) };
    const { text: sentence } = await served.refused(served.client.call(solve, call, headers));
    assert.match(sentence, /attributes of the result/);
  }
  await served.client.call(
    solve,
    { definition, final: true, exporterAttr: Buffer.from('null') },
    headers,
  );
  assert.ok((await ended).exporterResponse['containerimage.digest']);
});

test('refs are told in the form that the caller reads', async () => {
  await using served = await Served.open();
  await served.drive({}, async (bridge) => {
    const definition = filesGraph({ '/f': 'text' });
    const oldest = await bridge.call(solve, { definition });
    assert.equal([oldest.result?.result.case, oldest.ref !== ''], ['refDeprecated', true]);
    const { data } = await bridge.call(readFile, { ref: oldest.ref, filePath: '/f' });
    assert.is(Buffer.from(data).toString(), 'text');
    const old = await bridge.call(solve, { definition, allowResultReturn: true });
    assert.is(old.result?.result.case, 'refDeprecated');
    const now = await bridge.call(solve, {
      definition,
      allowResultReturn: true,
      allowResultArrayRef: true,
    });
    assert.is(now.result?.result.case, 'ref');
    // A caller may return what it was given, in each form.
    return { result: old.result! };
  });
  assert.equal(served.bugs, []);
});

test.run();
