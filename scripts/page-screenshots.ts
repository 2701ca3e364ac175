/**
 * Makes the screenshots of docs/page.md anew: builds what page-builds.ts has with dist/, opens the
 * page in Chromium, and writes PNG files to docs/images/. Needs the test images busybox and node.
 */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { Rig, ROOT } from '../test/rig.ts';
import { servedUi } from '../test/ui-rig.ts';
import { slowBuilds } from './page-builds.ts';

const FOLDER = join(ROOT, 'docs/images');
/** The largest file that is written, in bytes. */
const LARGEST = 150_000;

interface Shot {
  readonly file: string;
  readonly build: string;
  readonly place: string;
  readonly scheme?: 'dark';
  readonly width?: number;
  /** What is clicked before, by its text. */
  readonly click?: string;
}

const SHOTS: readonly Shot[] = [
  { file: 'page-shop', build: 'shop', place: 'timeline?step=STEP' },
  { file: 'page-site', build: 'site', place: 'timeline' },
  { file: 'page-site-graph', build: 'site', place: 'graph', scheme: 'dark' },
  { file: 'page-reports', build: 'reports', place: 'image', click: 'Wasted bytes' },
  { file: 'page-narrow', build: 'shop', place: 'timeline', width: 400, scheme: 'dark' },
];

await using rig = await Rig.create('busybox', 'node');
for (const { name, files, edit } of slowBuilds({ install: 8, assets: 9 })) {
  const build = () => rig.kiln(['build', '-q', '-t', name, rig.path(name)], { expect: 0 });
  rig.write(name, files);
  await build();
  if (!edit) continue;
  rig.write(name, edit);
  await build();
}
mkdirSync(FOLDER, { recursive: true });
await using ui = await servedUi(rig);
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
});
try {
  await shoot(browser);
} finally {
  await browser.close();
}

async function shoot(opened: Browser): Promise<void> {
  const context = await opened.newContext();
  const tab = await context.newPage();
  await tab.goto(ui.address);
  await tab.waitForSelector('.builds li');
  for (const { file, build, place, scheme = 'light', width = 1280, click } of SHOTS) {
    await tab.setViewportSize({ width, height: width === 400 ? 860 : 900 });
    await tab.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await tab.goto(`${new URL(ui.address).origin}/#/builds`);
    await tab.locator('.builds a', { hasText: build }).first().click();
    await tab.waitForSelector('.timeline .step-row');
    if (place.includes('STEP')) await tab.getByRole('button', { name: /^Show/ }).first().click();
    else {
      const to = tab.url().replace('timeline', place);
      await tab.goto(to);
    }
    if (click) await tab.getByRole('button', { name: click }).click();
    await tab.mouse.move(0, 0);
    await tab.waitForTimeout(500);
    const path = join(FOLDER, `${file}.png`);
    await tab.screenshot({ path });
    const { size } = statSync(path);
    if (size > LARGEST) throw new Error(`${path} has ${size} bytes`);
    console.log(`${path} (${size} bytes)`);
  }
}
