import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type CommandDescription,
  describeCommands,
  leafCommands,
} from '../cli/reference/describe.ts';
import { ENVIRONMENT } from '../cli/reference/environment.ts';
import { READERS } from '../frontend/readers.ts';
import { codesInDocument } from '../scripts/errors.ts';
import { ROOT } from './rig.ts';

const PAGES = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT }).sort();
/** The documents for users of Kiln. */
const GUIDES = [
  'building',
  'ci',
  'coming-from-docker',
  'coming-from-kaniko-and-buildah',
  'differences',
  'dockerfile',
  'errors',
  'getting-started',
  'glossary',
  'image-explore',
  'library',
  'page',
  'rootless-and-containers',
  'saved-caches',
  'server',
  'troubleshooting',
  'uninstalling',
].map((name) => `docs/${name}.md`);

const read = (page: string) => readFileSync(join(ROOT, page), 'utf8');
const withoutBlocks = (text: string) => text.replace(/^ *```[^\n]*\n.*?^ *```$/gms, '');

/** The fragment of a link to a heading. */
function anchor(heading: string): string {
  const plain = heading.replace(/[`*]/g, '').replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
  return plain
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');
}

const anchors = (page: string) =>
  new Set(
    [...withoutBlocks(read(page)).matchAll(/^#+ (.+)$/gm)].map((found) => anchor(found[1] ?? '')),
  );

test('every relative link leads to a file, and to a heading of it', () => {
  let count = 0;
  for (const page of PAGES) {
    for (const [, target = ''] of withoutBlocks(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      count++;
      const [path = '', heading] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      assert.ok(existsSync(join(ROOT, file)), `${page}: ${target}`);
      if (heading !== undefined && statSync(join(ROOT, file)).isFile())
        assert.ok(anchors(file).has(heading), `${page}: ${target}: no such heading`);
    }
  }
  assert.ok(count > 100);
});

/** The command lines of a shell script, without the bodies of heredocs and without comments. */
function commandLines(script: string): readonly string[] {
  const text = script
    .replace(/<<-?'?(\w+)'?(.*)\n[\s\S]*?^\1$/gm, '$2')
    .replace(/\\\n/g, ' ')
    .replace(/(^|\s)#.*$/gm, '');
  return text.split(/\n|\||&&|;|\$\(|\)/).map((line) => line.trim());
}

/** The words after `kiln` in a command line that calls it. Undefined for any other line. */
function wordsOfKiln(line: string): readonly string[] | undefined {
  const words = line.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  const at = words.findIndex((word) => /^(?:\.\/)?kiln$/.test(word));
  const before = words.slice(0, Math.max(0, at));
  const calls =
    at >= 0 &&
    before.every(
      (word, index) => /^(?:sudo|\w+=.*)$/.test(word) || (index > 0 && word.startsWith('-')),
    );
  return calls || (at >= 0 && before[0] === 'docker') ? words.slice(at + 1) : undefined;
}

const commands = leafCommands(await describeCommands());
const find = (words: readonly string[]): CommandDescription | undefined =>
  commands.find((command) => command.words.every((word, index) => words[index] === word));

/** Says what is wrong with the arguments of Kiln. Undefined when they are right. */
function complaint(words: readonly string[]): string | undefined {
  if (/^(?:version|help|--help|--version)$/.test(words[0] ?? '')) return undefined;
  const command = find(words);
  if (!command) return 'there is no such command';
  const known = new Set(
    command.flags.flatMap(({ long, short }) => [long, ...(short ? [short] : [])]),
  );
  const rest = words.slice(command.words.length);
  const passesThrough = command.words[0] === 'run';
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at]!;
    if (!word.startsWith('-') || word === '-') {
      if (passesThrough) return undefined;
      continue;
    }
    const names = word.startsWith('--') ? [word.split('=', 1)[0]!] : shortNames(word, command);
    const unknown = names.find((name) => name !== '--help' && !known.has(name));
    if (unknown !== undefined) return `${unknown} is not a flag of it`;
    const flag = command.flags.find(
      ({ long, short }) => long === names.at(-1) || short === names.at(-1),
    );
    if (
      flag?.value !== undefined &&
      !word.includes('=') &&
      word.length <= Math.max(2, flag.long.length)
    )
      at++;
  }
  return undefined;
}

/** Splits short flags: `-it` is two flags, but in `-tapp` the rest is the value of `-t`. */
function shortNames(word: string, { flags }: CommandDescription): readonly string[] {
  const names: string[] = [];
  for (const letter of word.slice(1)) {
    names.push(`-${letter}`);
    if (flags.find(({ short }) => short === `-${letter}`)?.value !== undefined) break;
  }
  return names;
}

test('commands and flags in shell blocks exist', () => {
  let count = 0;
  for (const page of PAGES) {
    for (const [, script = ''] of read(page).matchAll(/^ *```sh\n(.*?)^ *```$/gms)) {
      for (const line of commandLines(script)) {
        const words = wordsOfKiln(line);
        if (!words) continue;
        count++;
        assert.is(complaint(words), undefined, `${page}: ${line}`);
      }
    }
  }
  assert.ok(count > 40, `${count} calls were found`);
});

test('a wrong command or flag in a shell block is found', () => {
  const wrong = (line: string) => complaint(wordsOfKiln(commandLines(line)[0]!)!);
  assert.is(
    wrong('sudo kiln build -t app --platfrom linux/arm64 .'),
    '--platfrom is not a flag of it',
  );
  assert.is(wrong('kiln bake'), 'there is no such command');
  assert.is(wrong('kiln run -iz app sh -c x'), '-z is not a flag of it');
  assert.is(wrong('A=b kiln cache ls --records'), undefined);
  assert.is(wrong('kiln run -it app ls --no-such'), undefined);
});

test('commands and flags in the text and tables of the guides exist', () => {
  for (const page of GUIDES) {
    for (const [, code = ''] of withoutBlocks(read(page)).matchAll(/`(kiln [^`…]+)`/g)) {
      const words = wordsOfKiln(code) ?? [];
      // These are commands of Docker, which the guides explain.
      if (/^(?:buildx|builder|system|image ls|COMMAND)/.test(words.join(' '))) continue;
      assert.is(complaint(words), undefined, `${page}: ${code}`);
    }
  }
});

/** The documents for readers of the code. */
const OF_CODE = [
  'docs/architecture.md',
  'docs/extending.md',
  'docs/security.md',
  ...globSync('*/README.md', { cwd: ROOT }),
].filter((page) => !/^(?:node_modules|dist)\//.test(page));

/** Documents and READMEs of the whole checkout. */
const ALL = globSync('**/*.md', {
  cwd: ROOT,
  exclude: (name) => name === 'node_modules' || name === 'dist' || name.startsWith('.'),
}).sort();

/** Lines of prose with more than 100 columns: no tables, no blocks of code, no lone URLs. */
function wideProse(text: string): string[] {
  return withoutBlocks(text)
    .split('\n')
    .filter((line) => [...line].length > 100 && !/^\s*\|/.test(line) && !/^\S+$/.test(line));
}

test('lines of prose in documents have 100 columns', () => {
  assert.ok(ALL.length > 100, `${ALL.length} documents`);
  for (const page of ALL) assert.equal(wideProse(read(page)), [], page);
  const wide = 'word '.repeat(21);
  assert.equal(wideProse(`${wide}\n\n- ${wide}\n| ${wide} |\n\`\`\`\n${wide}\n\`\`\`\n`), [
    wide,
    `- ${wide}`,
  ]);
});

test('the tests that docs/security.md names exist', () => {
  const text = read('docs/security.md').replace(/\s+/g, ' ');
  const references = [...text.matchAll(/`([\w./-]+\.test\.ts)`(?:: ((?:"[^"]+"(?:, )?)+))?/g)];
  assert.ok(references.length > 80, `${references.length} tests were named`);
  for (const [, file = '', titles = ''] of references) {
    assert.ok(existsSync(join(ROOT, file)), file);
    for (const [, title = ''] of titles.matchAll(/"([^"]+)"/g))
      assert.ok(read(file).includes(title), `${file}: ${title}`);
  }
});

test('the files that documents about the code name exist', () => {
  const files = globSync('**/*.{ts,cts,ne}', {
    cwd: ROOT,
    exclude: (name) => name === 'node_modules' || name === 'dist' || name.startsWith('.'),
  }).map((file) => `/${file}`);
  let count = 0;
  for (const page of OF_CODE) {
    for (const [, name = ''] of withoutBlocks(read(page)).matchAll(/`([\w./-]+\.(?:ts|cts))`/g)) {
      if (/NAME|^remote-worker|\/remote-worker/.test(name)) continue;
      count++;
      assert.ok(
        files.some((file) => file.endsWith(`/${name}`)),
        `${page}: ${name}`,
      );
    }
  }
  assert.ok(count > 200, `${count} files were named`);
});

/** Names that examples in the documents invent. */
const OF_RECIPES = ['KILN_CODE', 'KILN_IMAGE', 'KILN_PACKAGE'];

test('the error codes and variables that the guides name exist', () => {
  const variables = ENVIRONMENT.flatMap((group) => group.variables.flatMap(({ names }) => names));
  const known = new Set([
    ...codesInDocument().map(({ code }) => code),
    ...variables,
    ...OF_RECIPES,
  ]);
  for (const page of GUIDES) {
    const unknown = [...read(page).matchAll(/\bKILN_[A-Z_]+\b/g)]
      .map(([name]) => name)
      .filter((name) => !known.has(name));
    assert.equal(unknown, [], page);
  }
});

test('the page of the Dockerfile language has every instruction', () => {
  const headings = [...read('docs/dockerfile.md').matchAll(/^## ([A-Z]+)$/gm)].map(
    (found) => found[1]?.toLowerCase() ?? '',
  );
  assert.equal(headings.sort(), Object.keys(READERS).sort());
});

test('each word of the glossary is declared in the file that it names', () => {
  const text = read('docs/glossary.md').replace(/\n {2}/g, ' ');
  const places = [...text.matchAll(/`(\w+)` in `([\w./-]+)`/g)];
  const isThere = (name: string, file: string) =>
    existsSync(join(ROOT, file)) &&
    new RegExp(`\\b(?:interface|type|class|function|const) ${name}\\b`).test(read(file));
  const gone = places
    .filter(([, name = '', file = '']) => !isThere(name, file))
    .map(([place]) => place);
  assert.equal(gone, []);
  const words = [...text.matchAll(/^- \*\*(.+?)\*\*: (.+)$/gm)];
  assert.ok(words.length > 50);
  for (const [, word, meaning = ''] of words)
    assert.match(meaning, /` in `/, `${word} says where it is declared`);
});

test('the README leads to every guide', () => {
  const links = new Set(
    [...read('README.md').matchAll(/\]\(([^)#\s]+)/g)].map((found) => found[1]),
  );
  for (const page of [
    ...GUIDES.filter((name) => name !== 'docs/saved-caches.md'),
    'docs/reference/README.md',
  ])
    assert.ok(links.has(page), page);
});

test.run();
