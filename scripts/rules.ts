/**
 * Writes docs/rules/ from the rule definitions (frontend/check/rules.ts, examples.ts): a page per
 * rule and the list. With --check it writes nothing and fails when a page is not what it would
 * write.
 */
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Example, PAGES } from '../frontend/check/examples.ts';
import { RULES, type Rule } from '../frontend/check/rules.ts';

const FOLDER = join(import.meta.dirname, '../docs/rules');
const GENERATED = '<!-- Written by scripts/rules.ts. -->\n';

/** Every file of docs/rules/ with what it should hold. */
export function rulePages(): Map<string, string> {
  const pages = new Map([['README.md', index()]]);
  for (const rule of Object.values(RULES)) pages.set(`${rule.slug}.md`, page(rule));
  return pages;
}

function page(rule: Rule): string {
  const { why, bad, good } = PAGES[rule.name];
  const origin =
    rule.by === 'kiln' ? "One of Kiln's own rules." : `A rule of BuildKit: ${rule.url}`;
  const wanted =
    rule.level === 'experimental'
      ? 'Experimental: it speaks only when asked for, by `# ' +
        `check=experimental=${rule.name}\` as the first line.`
      : `Switched off for a file by \`# check=skip=${rule.name}\` as its first line.`;
  return (
    `${GENERATED}# ${rule.name}\n\n` +
    `${rule.description}.\n\n` +
    `${why}\n\n` +
    `${origin} ${wanted}\n\n` +
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

/** Many equal lines are one, and their number. */
function shortened(text: string): string {
  return text.replace(
    /^(.+\n)\1{9,}/gm,
    (lines, line: string) => `${line}# … ${lines.length / line.length - 1} more of these\n`,
  );
}

function index(): string {
  const rows = (by: Rule['by']) =>
    Object.values(RULES)
      .filter((rule) => rule.by === by)
      .map(({ name, slug, level, description }) => {
        return (
          `| [${name}](${slug}.md) | ${description.split('. ')[0]!.replaceAll('|', '\\|')} | ` +
          `${level === 'experimental' ? 'when asked for' : 'yes'} |`
        );
      })
      .join('\n');
  const table = (by: Rule['by']) => `| rule | what it says | on |\n|---|---|---|\n${rows(by)}\n`;
  return `${GENERATED}# Build checks

\`kiln build --check\` tells what these rules find, with a non-zero exit code when there is \
something; a build tells it at its end.

The first lines of a Dockerfile, or the build argument \`BUILDKIT_DOCKERFILE_CHECK\`, choose: \`# \
check=skip=A,B\` or \`skip=all\`,
\`error=true\` (findings fail the build), \`experimental=A,B\` or \`experimental=all\`, joined by \
\`;\`. Findings of Kiln's own rules fail a
build only where \`experimental=\` names the rule: what Docker builds, Kiln builds.

## BuildKit's rules

${table('buildkit')}
## Kiln's own rules

${table('kiln')}`;
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
      console.error(`docs/rules/${name} is not what the rules say: run 'node scripts/rules.ts'`);
    process.exitCode = stale.length + left.length > 0 ? 1 : 0;
  } else {
    mkdirSync(FOLDER, { recursive: true });
    for (const name of left) rmSync(join(FOLDER, name));
    for (const name of stale) writeFileSync(join(FOLDER, name), pages.get(name)!);
    console.log(`${stale.length} of ${pages.size} pages written`);
  }
}
