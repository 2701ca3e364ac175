/**
 * Checks the sources against the rules of docs/architecture.md. Each rule is in a file of
 * `directions/`: directions and cycles of imports, access to the process outside entry points,
 * exported names, file names, the width of lines, walks of untrusted trees, licences of
 * dependencies. Prints each violation. Exits with 1 when there is one.
 */
import { importCycles } from './directions/cycles.ts';
import { wrongImports } from './directions/imports.ts';
import { wrongLicences } from './directions/licences.ts';
import { doubleNames, genericFileNames } from './directions/names.ts';
import { processAccesses } from './directions/process-access.ts';
import { readSources } from './directions/sources.ts';
import { unsafeWalks } from './directions/walks.ts';
import { wideLinesOfAll } from './directions/width.ts';

const sources = readSources();
const violations = [
  ...sources.flatMap((source) => [
    ...wrongImports(source),
    ...processAccesses(source),
    ...unsafeWalks(source),
  ]),
  ...importCycles(sources),
  ...doubleNames(sources),
  ...genericFileNames(sources),
  ...wideLinesOfAll(),
  ...wrongLicences(),
];

for (const violation of violations) console.error(violation);
process.exitCode = violations.length > 0 ? 1 : 0;
