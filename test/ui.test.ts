import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { BuildView } from '../history/build-view.ts';
import type { CacheReport } from '../history/cache-report.ts';
import { insightsOf } from '../history/insights.ts';
import type { LastRun } from '../history/last-run.ts';
import type { ImageContents } from '../images/contents/contents.ts';
import type { BuildEntry, ComparedResults } from '../page/page-source.ts';
import { slowBuilds } from '../scripts/page-builds.ts';
import { Rig } from './rig.ts';
import { servedUi } from './ui-rig.ts';

/** Asks the server of a page as its browser does. */
async function openAt(address: string) {
  const first = await fetch(address);
  assert.is(first.status, 200);
  const cookie = first.headers.get('set-cookie')!.split(';')[0]!;
  const { origin } = new URL(address);
  return async <Value>(path: string): Promise<Value> => {
    const response = await fetch(`${origin}/api/${path}`, { headers: { cookie } });
    assert.is(response.status, 200, path);
    return (await response.json()) as Value;
  };
}

test('kiln ui shows real builds: why they were slow, their logs, images and cache', async () => {
  await using rig = await Rig.create('busybox', 'node');
  const builds = slowBuilds({ install: 2, assets: 3 });
  for (const { name, files, edit } of builds) {
    // The first image stays when it has another name.
    const build = (tag: string) =>
      rig.kiln(['build', '-q', '-t', tag, rig.path(name)], { expect: 0 });
    rig.write(name, files);
    await build(`${name}:1`);
    if (!edit) continue;
    rig.write(name, edit);
    await build(`${name}:2`);
  }
  await using ui = await servedUi(rig);
  const ask = await openAt(ui.address);
  const entries = await ask<BuildEntry[]>('builds');
  assert.equal(
    entries.map(({ state }) => state),
    ['completed', 'completed', 'completed', 'completed'],
  );
  const viewOf = async (name: string) => {
    const { id } = entries.find((entry) => entry.name.includes(name))!;
    const [view, images] = [
      await ask<BuildView>(`builds/${id}`),
      await ask<ImageContents[]>(`builds/${id}/images`),
    ];
    const image = images[0]!;
    const waste = { size: image.bytes, wasted: image.wasted.bytes };
    return { id, view, image, found: insightsOf(view, waste) };
  };

  const shop = await viewOf('shop');
  assert.is(shop.found[0]?.kind, 'copy-before-install');
  assert.match(shop.found[0]?.advice ?? '', /Copy package\.json and package-lock\.json first/);
  const install = shop.found[0]!.step;
  const lines = await ask<{ text: string }[]>(
    `builds/${shop.id}/lines?step=${install}&from=0&count=100`,
  );
  assert.ok(lines.some(({ text }) => text.includes('added 412 packages')));
  const { found } = await ask<{ found: [number, number][] }>(
    `builds/${shop.id}/search?for=412%20PACKAGES`,
  );
  assert.is(found[0]?.[0], install);

  const site = await viewOf('site');
  assert.is(site.found[0]?.kind, 'longest');
  assert.match(site.found[0]?.what ?? '', /“RUN for n in 1 2 3 4 5/);

  const reports = await viewOf('reports');
  const kinds = reports.found.map(({ kind }) => kind);
  assert.ok(kinds.includes('wasted'), kinds.join());
  assert.is(reports.image.wasted.largest[0]?.path.replace(/^\//, ''), 'tmp/archive');

  // What was cached tells when it ran last, and of what its key was made then.
  const cached = shop.view.steps.findIndex(({ state }) => state === 'cached');
  const ran = await ask<LastRun | null>(`builds/${shop.id}/ran?step=${cached}`);
  assert.match(ran?.miss ?? '', /never built here/);
  assert.ok((ran?.key?.length ?? 0) > 0);
  assert.is(await ask<LastRun | null>(`builds/${shop.id}/ran?step=${install}`), null);

  const before = entries.filter(({ name }) => name.includes('shop'))[1]!.id;
  const compared = await ask<ComparedResults>(`builds/${shop.id}/compare?with=${before}`);
  assert.ok(compared.images[0]?.files.list.some(({ path }) => path.endsWith('app/server.js')));
  const file = rig.path('page.html');
  await rig.kiln(['history', 'export', shop.id, '--html', file], { expect: 0 });
  const page = readFileSync(file, 'utf8');
  assert.ok(page.length < 1_000_000, String(page.length));
  assert.match(page, /<meta http-equiv="Content-Security-Policy" content="default-src 'none'/);
  const cache = await ask<CacheReport>('cache');
  assert.is(cache.builds, 4);
  assert.ok(cache.misses.some(({ name }) => name.includes('npm ci')));
});

test('kiln ui opens the browser that BROWSER names, at the build that is asked for', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('a', { Dockerfile: 'FROM busybox\nRUN echo hello\n' });
  await rig.kiln(['build', '-q', rig.path('a')], { expect: 0 });
  const seen = rig.path('address');
  const browser = rig.path('bin', 'browser');
  rig.write('bin', {
    browser: `#!/bin/sh\nprintf %s "$1" > ${seen}.new && mv ${seen}.new ${seen}\n`,
  });
  chmodSync(browser, 0o755);
  const ran = await rig.kiln(['ui', '2'], {
    env: { BROWSER: browser },
    watch: (_, kill) => {
      if (existsSync(seen)) kill('SIGINT');
      else setTimeout(() => existsSync(seen) && kill('SIGINT'), 2000);
    },
  });
  assert.is(ran.code, 0);
  assert.match(readFileSync(seen, 'utf8'), /^http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]+&build=2\d+/);
});

test('a port that is taken, and one that is none, are told', async () => {
  await using rig = await Rig.create();
  await using ui = await servedUi(rig);
  const { port } = new URL(ui.address);
  const taken = await rig.kiln(['ui', '--no-open', '--port', port]);
  assert.is(taken.code, 1);
  assert.match(taken.stderr, /KILN_ADDRESS_UNUSABLE/);
  const wrong = await rig.kiln(['ui', '--port', '70000']);
  assert.is(wrong.code, 2);
  assert.match(wrong.stderr, /KILN_FLAG_VALUE/);
});

test.run();
