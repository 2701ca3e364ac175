import { createHash } from 'node:crypto';
import { join, relative, resolve } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { stderr } from '../output.ts';
import { writeReport } from './write-report.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The name by which GitLab's documentation calls the file. */
const USUAL_NAME = 'gl-code-quality-report.json';

/**
 * Writes what a check found as a report of code quality, which GitLab shows in a merge request. The
 * file is KILN_CODE_QUALITY, or else gl-code-quality-report.json in the directory of the project.
 * `document` is the answer of the check, and `dockerfile` the path of the Dockerfile when it is not
 * its name in the answer. A file that cannot be written is a warning.
 */
export function writeCodeQualityReport(
  document: unknown,
  dockerfile: string | undefined,
  env: Environment,
): void {
  const project = env['CI_PROJECT_DIR'] || process.cwd();
  const path = env['KILN_CODE_QUALITY'] || join(project, USUAL_NAME);
  const inProject = (name: string, index: number) =>
    relative(project, resolve(index === 0 ? (dockerfile ?? name) : name));
  try {
    const report = codeQualityReport(document, inProject);
    writeReport('the report of code quality', path, report, 'replace');
  } catch (error) {
    stderr.write(`WARNING: ${messageOf(error)}\n`);
  }
}

/**
 * Returns the report for the answer of a check in its JSON form. `pathOf` makes the name of a
 * Dockerfile a path in the project. What has not the form of a finding is left out: the answer may
 * come from a frontend of others.
 */
export function codeQualityReport(
  document: unknown,
  pathOf: (name: string, index: number) => string = (name) => name,
): string {
  const { warnings, sources } = fields(document);
  const names = list(sources).map((source) => String(fields(source)['filename'] ?? 'Dockerfile'));
  const seen = new Map<string, number>();
  const report = list(warnings).flatMap((warning) => {
    const { ruleName, detail, location } = fields(warning);
    if (typeof ruleName !== 'string' || typeof detail !== 'string') return [];
    const { sourceIndex = 0, ranges } = fields(location);
    const line = Number(fields(fields(list(ranges)[0])['start'])['line'] ?? 1);
    const index = Number(sourceIndex);
    const path = pathOf(names[index] ?? 'Dockerfile', index);
    const what = [ruleName, path, detail].join('\0');
    const nth = seen.get(what) ?? 0;
    seen.set(what, nth + 1);
    return [
      {
        description: detail,
        check_name: ruleName,
        // Without the line, so that a problem that only moves stays the same one.
        fingerprint: createHash('sha256').update(`${what}\0${nth}`).digest('hex'),
        severity: 'minor',
        location: { path, lines: { begin: Number.isInteger(line) && line > 0 ? line : 1 } },
      },
    ];
  });
  return `${JSON.stringify(report, undefined, 2)}\n`;
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
