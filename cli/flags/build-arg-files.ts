import { attempt } from '../../base/oserror.ts';
import { readNamedFile } from '../../base/regular-file.ts';

/**
 * Returns the build arguments of the files of `--build-arg-file`, as values of `--build-arg`: a
 * line `NAME=VALUE` each, or `NAME` for one of the environment. Empty lines and lines that begin
 * with `#` are left out. A later line goes before an earlier one, and `given`, the values of
 * `--build-arg`, before all lines.
 */
export function buildArgsOfFiles(paths: readonly string[], given: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const line of paths.flatMap(linesOf)) byName.set(nameOf(line), line);
  for (const spec of given) byName.delete(nameOf(spec));
  return [...byName.values(), ...given];
}

function linesOf(path: string): string[] {
  const failure = {
    code: 'KILN_FLAG_VALUE',
    what: `the file ${path} of --build-arg-file cannot be read`,
    place: { kind: 'flag', flag: '--build-arg-file' },
    exitCode: 2,
  } as const;
  const text = attempt(failure, () => readNamedFile(path)).toString();
  return text.split(/\r?\n/).filter((line) => line.trim() !== '' && !line.startsWith('#'));
}

function nameOf(spec: string): string {
  return spec.split('=', 1)[0] ?? '';
}
