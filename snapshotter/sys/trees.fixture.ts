import { mkdirSync, writeFileSync } from 'node:fs';
import { TreePaths } from './treepaths.ts';

/**
 * Makes `depth` nested directories called `name`, each with a file `here` of one byte. Returns the
 * path of the deepest.
 */
export function makeDeep(top: string, depth: number, name: string): string {
  using paths = new TreePaths(top);
  let path = '';
  for (let level = 0; level < depth; level++) {
    path = path === '' ? name : `${path}/${name}`;
    mkdirSync(paths.at(path));
    writeFileSync(paths.at(`${path}/here`), 'x');
  }
  return path;
}
