/**
 * Generates docs/rules/ from the definitions of the rules (frontend/check/rules.ts, examples.ts): a
 * page for each rule, and the list of rules. With --check it writes nothing, and fails when a page
 * is stale.
 */
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { wrap } from '../cli/reference/text.ts';
import { type Example, PAGES } from '../frontend/check/examples.ts';
import { RULES, type Rule } from '../frontend/check/rules.ts';

const FOLDER = join(import.meta.dirname, '../docs/rules');
const GENERATED = '<!-- Written by scripts/rules.ts. -->\n';

/** Returns the texts of the files of docs/rules/ by name. */
export function rulePages(): Map<string, string> {
  const pages = new Map([['README.md', index()]]);
  for (const rule of Object.values(RULES)) pages.set(`${rule.slug}.md`, page(rule));
  return pages;
}

function page(rule: Rule): string {
  const { why, bad, good } = PAGES[rule.name];
  const origin =
    rule.by === 'kiln' ? "One of Kiln's own rules." : `A rule of BuildKit: ${rule.url}`;
  const howToSwitch =
    rule.level === 'experimental'
      ? `Experimental: \`# check=experimental=${rule.name}\` as the first line switches it on.`
      : `\`# check=skip=${rule.name}\` as the first line of a file switches it off.`;
  const paragraphs = [`${rule.description.replace(/\.$/, '')}.`, why, `${origin} ${howToSwitch}`];
  const text = paragraphs.map((paragraph) => `${wrap(paragraph)}\n`).join('\n');
  return (
    `${GENERATED}# ${rule.name}\n\n` +
    `${text}\n` +
    '## Bad\n\n' +
    `${block(bad)}\n` +
    '## Good\n\n' +
    `${block(good)}`
  );
}

function block(example: Example): string {
  if (typeof example === 'string') return fenced('dockerfile', example);
  return (
    `${fenced('dockerfile', example.dockerfile)}\n` +
    'with this `.dockerignore`:\n\n' +
    `${fenced('', example.ignore)}`
  );
}

function fenced(language: string, text: string): string {
  return `\`\`\`${language}\n${shortened(text)}\`\`\`\n`;
}

/** Replaces ten or more equal lines by one line and their number. */
function shortened(text: string): string {
  return text.replace(
    /^(.+\n)\1{9,}/gm,
    (lines, line: string) => `${line}# … ${lines.length / line.length - 1} more of these\n`,
  );
}

function index(): string {
  return `${GENERATED}# Build checks

${wrap(ABOUT)}

${wrap(CHOICE)}

## BuildKit's rules

${list('buildkit')}
## Kiln's own rules

${list('kiln')}`;
}

const ABOUT =
  '`kiln build --check` shows what these rules find, and ends with a non-zero exit code when ' +
  'they find something. A build shows it at its end.';
const CHOICE =
  'The first lines of a Dockerfile, or the build argument `BUILDKIT_DOCKERFILE_CHECK`, select ' +
  'rules: `# check=skip=A,B` or `skip=all`, `error=true` (findings fail the build), ' +
  '`experimental=A,B` or `experimental=all`, joined by `;`. Among the comments above ' +
  'an instruction, `# check=skip=A why` holds for it alone, except for rules about the ' +
  "whole file. Findings of Kiln's own rules fail a " +
  'build only if `experimental=` names the rule, because Kiln builds what Docker builds.';

function list(by: Rule['by']): string {
  return Object.values(RULES)
    .filter((rule) => rule.by === by)
    .map(({ name, slug, level, description }) => {
      const text = description.split('. ')[0]!;
      const note = level === 'experimental' ? ' Off by default.' : '';
      return `${wrap(`- [${name}](${slug}.md): ${text}.${note}`, '  ')}\n`;
    })
    .join('');
}

if (import.meta.main) {
  const pages = rulePages();
  const known = new Set(globSync('*.md', { cwd: FOLDER }));
  const read = (name: string) =>
    known.has(name) ? readFileSync(join(FOLDER, name), 'utf8') : undefined;
  const stale = [...pages].filter(([name, text]) => read(name) !== text).map(([name]) => name);
  const left = [...known].filter((name) => !pages.has(name));
  if (process.argv.includes('--check')) {
    for (const name of [...stale, ...left])
      console.error(`docs/rules/${name} is stale: run 'node scripts/rules.ts'`);
    process.exitCode = stale.length + left.length > 0 ? 1 : 0;
  } else {
    mkdirSync(FOLDER, { recursive: true });
    for (const name of left) rmSync(join(FOLDER, name));
    for (const name of stale) writeFileSync(join(FOLDER, name), pages.get(name)!);
    console.log(`${stale.length} of ${pages.size} pages written`);
  }
}
