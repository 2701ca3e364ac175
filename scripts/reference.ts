/**
 * Generates files from the declarations of the commands (cli/reference/): the pages of
 * docs/reference/, man/kiln.1 and the scripts of completions/. With --check it writes nothing, and
 * fails when a file is stale.
 */
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { COMPLETIONS } from '../cli/commands/completion.ts';
import { bashCompletion } from '../cli/reference/bash.ts';
import { describeCommands } from '../cli/reference/describe.ts';
import { fishCompletion } from '../cli/reference/fish.ts';
import { manPage } from '../cli/reference/man.ts';
import { referencePages } from '../cli/reference/markdown.ts';
import { zshCompletion } from '../cli/reference/zsh.ts';

const ROOT = join(import.meta.dirname, '..');

/** Returns the texts of all generated files by their paths in the checkout. */
async function files(): Promise<Map<string, string>> {
  const commands = await describeCommands();
  const pages = [...referencePages(commands)].map(([name, text]): [string, string] => [
    `docs/reference/${name}`,
    text,
  ]);
  return new Map([
    ...pages,
    ['man/kiln.1', manPage(commands)],
    [`completions/${COMPLETIONS.bash}`, bashCompletion(commands)],
    [`completions/${COMPLETIONS.zsh}`, zshCompletion(commands)],
    [`completions/${COMPLETIONS.fish}`, fishCompletion(commands)],
  ]);
}

const generated = await files();
const read = (path: string) =>
  existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), 'utf8') : undefined;
const stale = [...generated].filter(([path, text]) => read(path) !== text);
const left = globSync('{docs/reference,man,completions}/*', { cwd: ROOT }).filter(
  (path) => !generated.has(path),
);
if (process.argv.includes('--check')) {
  for (const path of [...stale.map(([name]) => name), ...left])
    console.error(`${path} is stale: run 'node scripts/reference.ts'`);
  process.exitCode = stale.length + left.length > 0 ? 1 : 0;
} else {
  for (const path of left) rmSync(join(ROOT, path));
  for (const [path, text] of stale) {
    mkdirSync(dirname(join(ROOT, path)), { recursive: true });
    writeFileSync(join(ROOT, path), text);
  }
  console.log(`${stale.length} of ${generated.size} files written`);
}
