import { join } from 'node:path';
import { writing } from '../../base/oserror.ts';
import { diskOf } from '../../cache/gc/collect.ts';
import { writeFile } from '../../exporter/destination.ts';
import { findBuild, listBuilds } from '../../history/list-builds.ts';
import { exportPage } from '../../page/export-page.ts';
import { readPageParts } from '../../page/page-document.ts';
import { openPage } from '../../page/serve.ts';
import { StoreSource } from '../../page/store-source.ts';
import { cancelOnSignals } from '../cancel.ts';
import { configPath } from '../config-path.ts';
import { openLocalEngine } from '../engine.ts';
import { readGcPolicies } from '../gc-config.ts';
import { stderr, stdout } from '../output.ts';
import { openBrowser } from './open-browser.ts';

export interface ShowPageOptions {
  /** The build that is shown first, as `findBuild` takes it. Undefined for the list of builds. */
  readonly build?: string | undefined;
  /** 0 for a port that is free. */
  readonly port: number;
  /** Prints the address only. */
  readonly opensNoBrowser: boolean;
}

/** Serves the page until a signal ends it, and opens it in a browser. */
export async function showPage({ build, port, opensNoBrowser }: ShowPageOptions): Promise<number> {
  await using engine = openLocalEngine();
  const id = build === undefined ? undefined : findBuild(listBuilds(engine.store.logs), build).id;
  using cancel = cancelOnSignals();
  const { signal } = cancel;
  const policies = await gcPolicies(engine.store.root);
  using source = new StoreSource({ engine, signal, policies });
  await using page = await openPage({ source, parts: pageParts(), port });
  const address = page.address(id);
  stdout.write(`${address}\n`);
  const isOpened = !opensNoBrowser && (await openBrowser(address, process.env));
  stderr.write(
    isOpened
      ? 'The page is open in your browser. Ctrl-C ends it.\n'
      : 'Open this address in a browser. It opens once. Ctrl-C ends the page.\n',
  );
  await new Promise((done) => signal.addEventListener('abort', done, { once: true }));
  return 0;
}

/**
 * Writes the page with some builds, as `findBuild` takes them, to a file. Without any it is the
 * last build. `-` is standard output.
 */
export async function writePage(wanted: readonly string[] | 'all', path: string): Promise<void> {
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const { signal } = cancel;
  const builds = listBuilds(engine.store.logs).filter(({ state }) => state !== 'damaged');
  const chosen =
    wanted === 'all'
      ? builds
      : (wanted.length > 0 ? wanted : [undefined]).map((name) => findBuild(builds, name));
  const policies = await gcPolicies(engine.store.root);
  using source = new StoreSource({ engine, signal, policies });
  const ids = chosen.map(({ id }) => id);
  const text = await exportPage(source, ids, pageParts());
  if (path === '-') stdout.write(text);
  else await writeFile(path, text, writing('the page', path), signal);
}

async function gcPolicies(root: string) {
  return (await readGcPolicies(configPath(process.env), diskOf(root))) ?? [];
}

/** The parts are beside the bundle. Kiln that runs from its sources has them in dist. */
function pageParts() {
  const here = import.meta.dirname;
  return readPageParts(here.endsWith('/dist') ? here : join(here, '../../dist'));
}
