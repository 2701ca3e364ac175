import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './sources.ts';

const LICENCES = new Set([
  'MIT',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  '(Apache-2.0 AND BSD-3-Clause)',
  'BlueOak-1.0.0',
  '0BSD',
  'CC0-1.0',
  'MIT OR Apache-2.0',
  'Unlicense',
]);

/** Licences of packages that only tests load. No part of them is in what Kiln ships. */
const LICENCES_OF_TESTS: Readonly<Record<string, string>> = {
  'node_modules/axe-core': 'MPL-2.0',
};

/** Returns the dependencies whose licence Kiln does not accept. */
export function wrongLicences(): string[] {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { license?: string }>;
  };
  return Object.entries(lock.packages).flatMap(([path, { license }]) =>
    path === '' || !license || LICENCES.has(license) || LICENCES_OF_TESTS[path] === license
      ? []
      : [`package-lock.json: ${path} has the licence ${license}, which is not on the list`],
  );
}
