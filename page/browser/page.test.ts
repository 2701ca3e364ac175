import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { generatedBuild, sourceOf } from '../builds-fixture.ts';
import { exportPage } from '../export-page.ts';
import { IMAGE_PARTS } from '../image-fixture.ts';
import { PARTS, SeenPage, startBrowser, whyNoBrowser } from './chromium-fixture.ts';

const AXE = readFileSync(
  join(import.meta.dirname, '../../node_modules/axe-core/axe.min.js'),
  'utf8',
);

const FAILED = generatedBuild({ id: 'failed', name: 'example/failed', steps: 40, failing: 33 });
const OTHER = generatedBuild({ id: 'other', name: 'example/other', steps: 12 });
const LARGE = generatedBuild({ id: 'large', steps: 2000, linesPerStep: 5 });
const HUGE_LOG = 2_000_000;
/** One step of it has a log of 200 MB. */
const LONG = {
  ...OTHER,
  id: 'long',
  steps: OTHER.steps.map((step, index) =>
    index === 4 ? { ...step, log: { lines: HUGE_LOG, bytes: HUGE_LOG * 100 } } : step,
  ),
};

let browser: Browser;

const skipped = whyNoBrowser();
if (skipped !== undefined) {
  console.log(`SKIP page/browser: ${skipped}`);
} else {
  test.before(async () => {
    browser = await startBrowser();
  });
  test.after(() => browser.close());

  test('the list is filtered by typing and opens a build with the keyboard', async () => {
    await using page = await SeenPage.served(browser, sourceOf([FAILED, OTHER]));
    const { tab } = page;
    await tab.locator('.builds li').first().waitFor();
    assert.is(await tab.locator('.builds li').count(), 2);
    assert.match(await tab.locator('.builds li').first().innerText(), /failed[\s\S]*exit code 2/);
    await tab.getByRole('searchbox').fill('other');
    assert.is(await tab.locator('.builds li').count(), 1);
    await tab.keyboard.press('Tab');
    await tab.keyboard.press('Enter');
    await tab.waitForSelector('.timeline');
    assert.is(await tab.locator('h1').innerText(), 'example/other');
    await tab.goBack();
    await tab.waitForSelector('.builds');
  });

  test('the top of the page says why a build failed, and leads to the end of the log', async () => {
    await using page = await SeenPage.served(browser, sourceOf([FAILED]));
    const { tab } = page;
    await page.go('#/build/failed/timeline');
    const first = tab.locator('.insight').first();
    assert.match(await first.innerText(), /failed at line \d+, in “RUN make part-33/);
    await first.getByRole('button').click();
    await tab.waitForSelector('.log-line .text');
    assert.match(await tab.locator('.log-lines').innerText(), /line 39 of step 33/);
    const steps = tab.locator('.log-step');
    assert.match(await steps.first().innerText(), /failed/);
  });

  test('a step of the timeline shows its lines, its key, and why it was not cached', async () => {
    await using page = await SeenPage.served(browser, sourceOf([FAILED]));
    const { tab } = page;
    await page.go('#/build/failed/timeline');
    await tab.locator('.step-row', { hasText: 'part-4' }).first().locator('.name').click();
    const side = tab.locator('.side');
    await side.waitFor();
    assert.match(
      await side.innerText(),
      /Not cached: a file that it copies changed: src\/part-4.c/,
    );
    assert.match(await side.locator('mark').first().innerText(), /RUN make part-4/);
    assert.is(await side.locator('mark').count(), 2);
    assert.match(await side.innerText(), /cache key is made of\s+command/);
    await tab.keyboard.press('Escape');
    await side.waitFor({ state: 'hidden' });
    // The parts of a cached step are those of when it ran.
    await tab.locator('.step-row', { hasText: 'part-3' }).first().locator('.name').click();
    await side.locator('.last-run dt').waitFor();
    assert.match(
      await side.innerText(),
      /it took 4.2 s[\s\S]*It ran because a file that it copies/,
    );
    assert.match(await side.innerText(), /cache key was made of\s+command\s+\/bin\/sh -c "make/);
  });

  test('the timeline is filtered, zoomed and walked by keys, wheel and mouse', async () => {
    await using page = await SeenPage.served(browser, sourceOf([FAILED]));
    const { tab } = page;
    await page.go('#/build/failed/timeline');
    await tab.getByLabel('only critical path').check();
    assert.is(await tab.locator('.timeline .sum').innerText(), '10 of 40 steps');
    await tab.getByLabel('only critical path').uncheck();
    await tab.getByLabel('hide cached').check();
    assert.is(await tab.locator('.timeline .sum').innerText(), '34 of 40 steps');
    await tab.getByLabel('hide cached').uncheck();
    const ticks = () => tab.locator('.ruler .tick').allInnerTexts();
    await tab.locator('.ruler .tick').first().waitFor();
    const whole = await ticks();
    const tree = tab.getByRole('tree');
    await tree.focus();
    await tab.keyboard.press('+');
    assert.not.equal(await ticks(), whole);
    await tab.keyboard.press('0');
    assert.equal(await ticks(), whole);
    const box = (await tab.locator('.ruler').boundingBox())!;
    await tab.mouse.move(box.x + box.width / 2, box.y + 5);
    await tab.mouse.wheel(0, -300);
    assert.not.equal(await ticks(), whole);
    await tab.getByRole('button', { name: 'Whole build' }).click();
    await tab.mouse.move(box.x + 20, box.y + 60);
    await tab.mouse.down();
    await tab.mouse.move(box.x + 160, box.y + 60, { steps: 3 });
    await tab.mouse.up();
    assert.not.equal(await ticks(), whole);
    await tree.focus();
    for (const key of ['Home', 'ArrowLeft', 'ArrowDown', 'ArrowDown', 'Enter'])
      await tab.keyboard.press(key);
    await tab.locator('.side').waitFor();
    assert.match(await tab.locator('.side h2').innerText(), /^FROM debian/);
    assert.is(await tab.locator('.stage-row').first().getAttribute('aria-expanded'), 'false');
  });

  test('all rows of a list are printed, and the page is as before when that is over', async () => {
    await using page = await SeenPage.served(browser, sourceOf([FAILED]));
    const { tab } = page;
    await page.go('#/build/failed/timeline');
    await tab.locator('.step-row').first().waitFor();
    const seen = await tab.locator('.step-row').count();
    assert.ok(seen < 40, String(seen));
    await tab.emulateMedia({ media: 'print' });
    // All at once, as printing does: it ends before anybody could look.
    const printed = await tab.evaluate(() => {
      dispatchEvent(new Event('beforeprint'));
      const rows = [...document.querySelectorAll('.step-row')];
      const bottomOf = (element: Element) => element.getBoundingClientRect().bottom;
      const last = bottomOf(rows.at(-1)!);
      const list = bottomOf(document.querySelector('.timeline .virtual')!);
      dispatchEvent(new Event('afterprint'));
      return { count: rows.length, last, list };
    });
    assert.is(printed.count, 40);
    assert.ok(printed.last <= printed.list + 1, 'nothing is cut off');
    await tab.emulateMedia({ media: 'screen' });
    await tab.waitForFunction(
      (most) => document.querySelectorAll('.step-row').length <= most,
      seen,
    );
  });

  test('the graph shows steps by look, and arrow keys follow its lines', async () => {
    await using page = await SeenPage.served(browser, sourceOf([FAILED]));
    const { tab } = page;
    await page.go('#/build/failed/graph');
    await tab.locator('.graph-node.look-cached').first().waitFor();
    const graph = tab.getByRole('listbox', { name: /^Steps as a graph/ });
    await graph.focus();
    for (const key of ['Home', 'ArrowDown', 'ArrowDown', 'Enter']) await tab.keyboard.press(key);
    assert.is(await tab.locator('.side h2').innerText(), 'RUN npm ci');
    await page.go('#/build/failed/graph?step=33');
    await tab.locator('.graph-node.current.look-failed').waitFor();
  });

  test('a search goes from match to match over all logs', async () => {
    const lines = { 4: ['a', 'here is a needle', 'b'], 9: ['Needle again'] };
    await using page = await SeenPage.served(browser, sourceOf([OTHER], lines));
    const { tab } = page;
    await page.go('#/build/other/log');
    await tab.getByLabel('Search in all logs').fill('needle');
    await tab.waitForSelector('.log-line mark');
    await tab.keyboard.press('Enter');
    await tab.locator('.log .sum', { hasText: '2 of 2' }).waitFor();
    await tab.locator('.log-line.marked', { hasText: 'Needle again' }).waitFor();
    await tab.getByLabel('Previous match').click();
    await tab.locator('.log-line.marked', { hasText: 'here is a needle' }).waitFor();
  });

  test('a log of 200 MB and a build of 2,000 steps need few elements', async () => {
    await using page = await SeenPage.served(browser, sourceOf([LARGE, LONG]));
    const { tab } = page;
    await page.go('#/build/long/log?step=4');
    await tab.locator('.log-line .text').first().waitFor();
    await tab.locator('.log-lines').focus();
    await tab.keyboard.press('End');
    await tab.locator('.log-line', { hasText: `line ${HUGE_LOG - 1} of step 4` }).waitFor();
    await tab.locator('.log-lines').hover();
    await tab.mouse.wheel(0, -200);
    await tab.locator('.log-line', { hasText: `line ${HUGE_LOG - 40} of step 4` }).waitFor();
    await page.go(`#/build/long/log?step=4&line=${HUGE_LOG / 2}`);
    await tab.locator('.log-line.marked', { hasText: `line ${HUGE_LOG / 2} of` }).waitFor();
    const elements = () => tab.evaluate(() => document.querySelectorAll('*').length);
    assert.ok((await elements()) < 1500, String(await elements()));
    await page.go('#/build/large/timeline');
    await tab.getByRole('tree').focus();
    await tab.keyboard.press('End');
    await tab.locator('.step-row', { hasText: 'part-1999' }).waitFor();
    assert.ok((await elements()) < 1500, String(await elements()));
    await page.go('#/build/large/graph?step=1999');
    await tab.locator('.graph-node.current', { hasText: 'part-1999' }).waitFor();
    assert.ok((await elements()) < 1500, String(await elements()));
  });

  test('nothing of a build is markup, script or a change of direction', async () => {
    const evil =
      '<script>alert(1)</script><img src=x onerror=alert(2)></script><!--' +
      '\u001b]0;title\u0007\u001b[2J\u202eevil\u202c\u0000\ud800';
    const step = { ...OTHER.steps[4]!, name: `[${evil} 1/2] ${evil}`, miss: evil, error: evil };
    const view = {
      ...OTHER,
      id: `a/b?c#d"'<x>`,
      name: evil,
      state: 'failed' as const,
      error: { text: evil, hint: evil, step: 4 },
      git: { branch: evil },
      stages: OTHER.stages.map(() => ({ name: evil, platform: evil })),
      sources: [{ name: evil, text: `${evil}\n`.repeat(50) }],
      request: { ...OTHER.request, tags: [evil], buildArgs: { [evil]: evil }, labels: { x: evil } },
      warnings: [{ short: evil, detail: [evil], url: 'javascript:alert(3)' }],
      steps: OTHER.steps.map((one, index) =>
        index === 4 ? { ...step, key: [{ name: evil, value: evil }] } : one,
      ),
    };
    const source = sourceOf([view], { 4: [evil, `\u001b[31m${'y'.repeat(10_000_000)}`, evil] });
    const directory = mkdtempSync(join(tmpdir(), 'kiln-page-'));
    try {
      const file = join(directory, 'page.html');
      writeFileSync(file, await exportPage(source, [view.id], PARTS));
      const place = `#/build/${encodeURIComponent(view.id)}`;
      await using served = await SeenPage.served(browser, source);
      await using exported = await SeenPage.ofFile(browser, file);
      for (const page of [served, exported]) {
        const { tab } = page;
        assert.match(await tab.locator('.builds').innerText(), /<script>alert/);
        for (const part of ['timeline?step=4', 'graph?step=4', 'log?step=4', 'image', 'request']) {
          await page.go(`${place}/${part}`);
          await tab.locator('.tab-panel > section').waitFor();
          assert.is(await tab.locator('img, #app script, #app iframe').count(), 0);
          assert.not.match(await tab.locator('body').innerText(), /[\u202a-\u202e\u0000\u001b]/);
        }
        assert.match(await tab.locator('.warnings').innerText(), /javascript:alert/);
        assert.is(await tab.locator('a[href^="javascript"]').count(), 0);
        await page.go(`${place}/log?step=4`);
        await tab.locator('.log-line .cut').waitFor();
        assert.match(await tab.locator('.log-lines').innerText(), /<script>alert\(1\)<\/script>/);
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('colours of a log are shown, and sequences that are none are not', async () => {
    const lines = ['\u001b[1;31mred\u001b[0m plain \u001b[38;2;1;2;3mrgb\u001b[0m', '10%\r100%\r'];
    await using page = await SeenPage.served(browser, sourceOf([OTHER], { 4: lines }));
    await page.go('#/build/other/log?step=4');
    const { tab } = page;
    await tab.locator('.log-line .fg-1.bold', { hasText: 'red' }).waitFor();
    const colour = await tab
      .locator('.log-line span', { hasText: /^rgb$/ })
      .evaluate((element) => getComputedStyle(element).color);
    assert.is(colour, 'rgb(1, 2, 3)');
    assert.is(await tab.locator('.log-line .text').nth(1).innerText(), '100%');
  });

  test('the image shows its layers, files, wasted bytes and a treemap', async () => {
    await using page = await SeenPage.served(browser, {
      ...sourceOf([OTHER, FAILED]),
      ...IMAGE_PARTS,
    });
    const { tab } = page;
    await page.go('#/build/other/image');
    assert.match(await tab.locator('.layers').innerText(), /60MB\s+COPY \. \.\s+line \d+ · \+3/);
    await tab.locator('.file-row', { hasText: 'bin' }).waitFor();
    await tab.getByRole('tree', { name: 'Files' }).focus();
    await tab.keyboard.press('ArrowRight');
    await tab.locator('.file-row', { hasText: '<b>sh\\xff' }).waitFor();
    await tab.locator('button.layer', { hasText: 'COPY' }).click();
    await tab.getByLabel('unchanged').waitFor();
    await tab.getByRole('button', { name: /^Made by line \d+$/ }).click();
    await tab.locator('.side h2', { hasText: 'COPY . .' }).waitFor();
    await tab.goBack();
    await tab.getByRole('button', { name: 'Wasted bytes' }).click();
    assert.match(await tab.locator('tbody').innerText(), /40MB\s+tmp\/archive\s+removed/);
    await tab.getByRole('button', { name: 'Largest directories' }).click();
    await tab.locator('.tile', { hasText: 'bin/' }).waitFor();
    assert.equal(await page.accessProblems(AXE), []);
  });

  test('a build that runs is shown as it goes on', async () => {
    const running = generatedBuild({ id: 'r', steps: 12, running: true });
    const done = generatedBuild({ id: 'r', steps: 12 });
    let isDone = false;
    const source = { ...sourceOf([running]), build: () => (isDone ? done : running) };
    await using page = await SeenPage.served(browser, source);
    const { tab } = page;
    await page.go('#/build/r/timeline');
    await tab.locator('.build-head .state-running').waitFor();
    isDone = true;
    await tab.locator('.build-head .state-completed').waitFor();
  });

  test('an unknown build says so, and the list is a click away', async () => {
    const server = sourceOf([OTHER]);
    const source = {
      ...server,
      build: (id: string) => {
        if (id === 'damaged') throw new Error('its record is damaged');
        return server.build(id);
      },
    };
    const page = await SeenPage.served(browser, source);
    await page.go('#/build/damaged');
    await page.tab.locator('.error-text', { hasText: 'its record is damaged' }).waitFor();
    await page.tab.getByRole('link', { name: 'All builds' }).click();
    await page.tab.locator('.builds li').waitFor();
    // The browser itself tells the console of the answer 500, so the errors are not looked at.
    await page[Symbol.asyncDispose]().catch((error) => assert.match(String(error.details), /500/));
  });

  test('a file with the page opens without a server, and is below 1 MB for 200 steps', async () => {
    const view = generatedBuild({ id: 'two', steps: 200, linesPerStep: 400, failing: 199 });
    const source = sourceOf([view]);
    const directory = mkdtempSync(join(tmpdir(), 'kiln-page-'));
    try {
      const file = join(directory, 'page.html');
      const text = await exportPage(source, [view.id], PARTS);
      assert.ok(text.length < 1_000_000, String(text.length));
      writeFileSync(file, text);
      await using page = await SeenPage.ofFile(browser, file);
      const { tab } = page;
      await tab.locator('.builds a').click();
      await tab.locator('.insight').first().getByRole('button').click();
      await tab.locator('.log-line', { hasText: 'line 399 of step 199' }).waitFor();
      await tab.getByLabel('Search in all logs').fill('line 17 of step 50:');
      await tab.locator('.log-line.marked', { hasText: 'line 17 of step 50' }).waitFor();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  for (const width of [1280, 400])
    for (const scheme of ['light', 'dark'] as const)
      test(`nothing is out of reach at ${width} pixels in ${scheme}`, async () => {
        const source = sourceOf([FAILED, OTHER]);
        await using page = await SeenPage.served(browser, source, { width, scheme });
        const { tab } = page;
        const places = [
          'builds',
          'cache',
          ...['timeline?step=33', 'graph', 'log', 'image', 'request'],
        ];
        for (const part of places) {
          await page.go(/builds|cache/.test(part) ? `#/${part}` : `#/build/failed/${part}`);
          await tab.locator('main').waitFor();
          await tab.waitForTimeout(50);
          assert.equal(await page.accessProblems(AXE), [], part);
          const wide = await tab.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(wide <= width, `${part}: ${wide} pixels`);
        }
      });
}

test.run();
