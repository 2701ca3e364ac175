/**
 * Holds the sources to docs/architecture.md, a rule to a file of `directions/`: where imports may
 * point and that they make no circle, that nothing below the doors reaches around them, one meaning
 * to a name, how wide lines are, how trees of others are walked, which licences dependencies
 * have. Prints each breach; exit 1 when there is one.
 */
import { importCycles } from './directions/cycles.ts';
import { wrongImports } from './directions/imports.ts';
import { wrongLicences } from './directions/licences.ts';
import { doubleNames, genericFileNames } from './directions/names.ts';
import { readSources } from './directions/sources.ts';
import { reachesAround } from './directions/surroundings.ts';
import { rawWalks } from './directions/walks.ts';
import { wideLinesOfAll } from './directions/width.ts';

const sources = readSources();
const breaches = [
  ...sources.flatMap((source) => [
    ...wrongImports(source),
    ...reachesAround(source),
    ...rawWalks(source),
  ]),
  ...importCycles(sources),
  ...doubleNames(sources),
  ...genericFileNames(sources),
  ...wideLinesOfAll(),
  ...wrongLicences(),
];

for (const breach of breaches) console.error(breach);
process.exitCode = breaches.length > 0 ? 1 : 0;
