import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, posix, relative } from 'node:path';
import type { KilnError } from '../../base/errors.ts';
import type { NamedContextSource } from '../../builder/request.ts';
import type { VolumeMount } from '../../frontend/graph-options.ts';
import type { LentPath } from '../build-options.ts';
import { flagError } from '../flag-error.ts';

/** The mounts of `--volume`, and the contexts and paths of this host that they come from. */
interface Volumes {
  readonly volumes: readonly VolumeMount[];
  readonly namedContexts: readonly (readonly [name: string, source: NamedContextSource])[];
  readonly lentPaths: readonly (readonly [name: string, path: LentPath])[];
}

const FLAG = '--volume';
const EXAMPLE = 'write SOURCE:TARGET or SOURCE:TARGET:ro, such as ./lib:/lib:ro';

/**
 * Parses the values of `--volume`. `allowed` are the directories of `--allow fs.read=DIRECTORY`;
 * every source must be in one of them. Steps get a copy of the source, so what they write to it is
 * thrown away: `warn` says so unless `:ro` or `:O` does. Throws KILN_FLAG_VALUE.
 */
export function parseVolumes(
  specs: readonly string[],
  allowed: readonly string[],
  warn: (sentence: string) => void,
): Volumes {
  const roots = allowed.map((path) => (path === '*' ? '/' : realPath(path, '--allow')));
  const volumes: VolumeMount[] = [];
  const namedContexts: [string, NamedContextSource][] = [];
  const lentPaths: [string, LentPath][] = [];
  for (const [at, spec] of specs.entries()) {
    const { source, target, options } = partsOf(spec);
    checkOptions(spec, options);
    const path = realPath(source, FLAG);
    if (!roots.some((root) => isWithin(root, path))) throw notAllowed(spec, path);
    const isReadonly = options.includes('ro');
    if (!isReadonly && !options.includes('O'))
      warn(`${FLAG} ${spec}: what steps write to ${target} is thrown away (:ro or :O says so)`);
    const isDirectory = statSync(path).isDirectory();
    // A dot keeps it apart from the names of stages.
    const name = `kiln.volume-${at + 1}`;
    volumes.push({
      context: name,
      source: isDirectory ? '/' : `/${basename(path)}`,
      target,
      readonly: isReadonly,
    });
    namedContexts.push([name, { kind: 'directory', name, whole: true }]);
    lentPaths.push([name, { kind: 'directory', path: isDirectory ? path : dirname(path) }]);
  }
  return { volumes, namedContexts, lentPaths };
}

function partsOf(spec: string): { source: string; target: string; options: readonly string[] } {
  const [source = '', target = '', options = '', ...rest] = spec.split(':');
  if (source === '' || !isAbsolute(target) || rest.length > 0) throw wrong(spec, EXAMPLE);
  if (!source.includes('/') && source !== '.' && source !== '..')
    throw wrong(
      spec,
      'Kiln has no volumes with names: write a path such as ./lib, or RUN --mount=type=cache',
    );
  return { source, target: posix.normalize(target), options: options.split(',') };
}

/** Options that are about labels of SELinux, or that a copy has anyway. */
const TAKEN: ReadonlySet<string> = new Set(['', 'ro', 'O', 'z', 'Z', 'private', 'rprivate']);

function checkOptions(spec: string, options: readonly string[]): void {
  const other = options.find((option) => !TAKEN.has(option));
  if (other === undefined) return;
  throw wrong(
    spec,
    other === 'rw'
      ? 'steps do not write to this host: write :O, and take results out with --output'
      : `the option ${other} is not known: ${EXAMPLE}`,
  );
}

function isWithin(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '..' && !way.startsWith('../');
}

function realPath(path: string, flag: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    throw flagError(flag, `${path} does not exist, or cannot be read`);
  }
}

function notAllowed(spec: string, path: string): KilnError {
  return flagError(
    FLAG,
    `${FLAG} ${spec} reads ${path}, which is not allowed`,
    `give --allow fs.read=${path}, or a directory above it`,
  );
}

function wrong(spec: string, hint: string): KilnError {
  return flagError(FLAG, `${FLAG} ${JSON.stringify(spec)} is not valid`, hint);
}
