import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, reading } from '../base/oserror.ts';

/** The script and the style sheet of the page, as `scripts/bundle.ts` has made them. */
export interface PageParts {
  readonly script: string;
  readonly style: string;
}

/** Reads the parts from the directory of the bundle. Throws KILN_FILE_UNREADABLE. */
export function readPageParts(directory: string): PageParts {
  const read = (name: string) => {
    const path = join(directory, name);
    return attempt(reading('a part of the page', path), () => readFileSync(path, 'utf8'));
  };
  return { script: read('page.js'), style: read('page-style.css') };
}

/** The page of a server. It loads its parts and data from there, and nothing from elsewhere. */
export function servedDocument(): string {
  return documentOf(
    '<link rel="stylesheet" href="/page.css">\n<script type="module" src="/page.js"></script>',
    '',
  );
}

/** What a browser may do with the page of a server: nothing but to ask this server. */
export const SERVED_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * The page as one file with its data. The data is text of a-z, A-Z, 0-9, +, / and = alone (gzip in
 * base64), so that nothing of a build can end the element that holds it. The policy names the
 * script and the style sheet by their digests.
 */
export function wholeDocument({ script, style }: PageParts, data: Uint8Array): string {
  const policy = [
    "default-src 'none'",
    `script-src '${integrity(script)}'`,
    `style-src '${integrity(style)}'`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  return documentOf(
    `<meta http-equiv="Content-Security-Policy" content="${policy}">\n<style>${style}</style>`,
    `<script type="application/octet-stream" id="kiln-data">` +
      `${Buffer.from(data).toString('base64')}</script>\n` +
      `<script type="module">${script}</script>\n`,
  );
}

function integrity(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

function documentOf(head: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
${head}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>Kiln</title>
</head>
<body>
<div id="app"><noscript>This page needs JavaScript.</noscript></div>
${body}</body>
</html>
`;
}
