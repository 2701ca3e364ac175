import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import * as assert from 'uvu/assert';
import { readPageParts } from '../page-document.ts';
import type { PageSource } from '../page-source.ts';
import { type OpenPage, openPage } from '../serve.ts';

const CHROMIUM = '/usr/bin/chromium';
/** The script and the style sheet that `scripts/bundle.ts` has made. */
export const PARTS = readPageParts(join(import.meta.dirname, '../../dist'));

/** Says why there is no browser to test with. Undefined when there is one. */
export function whyNoBrowser(): string | undefined {
  return existsSync(CHROMIUM) ? undefined : `${CHROMIUM} is not installed`;
}

/** Starts the browser of a test file. A root user's Chromium cannot make its own sandbox. */
export async function startBrowser(): Promise<Browser> {
  const isRoot = process.getuid?.() === 0;
  return await chromium.launch({
    executablePath: CHROMIUM,
    args: [...(isRoot ? ['--no-sandbox'] : []), '--disable-gpu'],
  });
}

export interface Look {
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: 'light' | 'dark';
}

/**
 * A tab of the browser with the page of a source. Disposing it closes both, and fails when the page
 * has written an error to the console or has asked another server for something.
 */
export class SeenPage implements AsyncDisposable {
  readonly tab: Page;
  readonly #context: BrowserContext;
  readonly #server: OpenPage | undefined;
  readonly #wrong: string[];

  private constructor(
    tab: Page,
    context: BrowserContext,
    server: OpenPage | undefined,
    wrong: string[],
  ) {
    this.tab = tab;
    this.#context = context;
    this.#server = server;
    this.#wrong = wrong;
  }

  /** Opens the page that a server has for a source. */
  static async served(browser: Browser, source: PageSource, look: Look = {}): Promise<SeenPage> {
    const server = await openPage({ source, parts: PARTS });
    const seen = await SeenPage.#open(browser, look, server, `http://127.0.0.1:${server.port}/`);
    await seen.tab.goto(server.address());
    await seen.tab.waitForSelector('.top');
    return seen;
  }

  /** Opens a file. */
  static async ofFile(browser: Browser, path: string, look: Look = {}): Promise<SeenPage> {
    const seen = await SeenPage.#open(browser, look, undefined, 'file://');
    await seen.tab.goto(`file://${path}`);
    await seen.tab.waitForSelector('.top');
    return seen;
  }

  static async #open(
    browser: Browser,
    { width = 1280, height = 900, scheme = 'light' }: Look,
    server: OpenPage | undefined,
    own: string,
  ): Promise<SeenPage> {
    const context = await browser.newContext({
      viewport: { width, height },
      colorScheme: scheme,
      reducedMotion: 'reduce',
    });
    const tab = await context.newPage();
    const wrong: string[] = [];
    tab.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') wrong.push(message.text());
    });
    tab.on('pageerror', (error) => wrong.push(String(error.stack)));
    tab.on('dialog', (dialog) => {
      wrong.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    tab.on('request', (request) => {
      if (!request.url().startsWith(own) && !request.url().startsWith('data:'))
        wrong.push(`a request to ${request.url()}`);
    });
    return new SeenPage(tab, context, server, wrong);
  }

  /** Shows a place, such as `#/build/ID/log`. */
  async go(place: string): Promise<void> {
    await this.tab.evaluate((hash) => {
      location.hash = hash;
    }, place);
  }

  /** Runs axe on what is seen. Returns what is serious, as text. */
  async accessProblems(axe: string): Promise<string[]> {
    // The policy of the page allows no script of others, but the tools of the browser may run one.
    await this.tab.evaluate(axe);
    return await this.tab.evaluate(async () => {
      interface Result {
        readonly violations: readonly {
          readonly id: string;
          readonly impact: string;
          readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
        }[];
      }
      const { axe } = globalThis as unknown as {
        axe: { run: (options: object) => Promise<Result> };
      };
      const { violations } = await axe.run({ resultTypes: ['violations'] });
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .flatMap(({ id, nodes }) =>
          nodes
            .slice(0, 2)
            .map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary}`),
        );
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.close();
    await this.#server?.[Symbol.asyncDispose]();
    assert.equal(this.#wrong, []);
  }
}
