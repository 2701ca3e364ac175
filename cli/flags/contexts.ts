import { resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import {
  type BuildRequest,
  type DockerfileSource,
  imageContext,
  type NamedContextSource,
  remoteContext,
} from '../../builder/request.ts';
import { gitRefOf } from '../../frontend/convert/gitref.ts';
import { type LayoutReference, parseLayoutReference } from '../../registry/layout.ts';
import type { LentPath } from '../build-options.ts';
import { isRemote } from '../context-directory.ts';
import { flagError } from '../flag-error.ts';
import { namedValues } from './named-values.ts';
import { STDIN } from './secrets.ts';

const LAYOUT = 'oci-layout://';
const IMAGE = 'docker-image://';

/**
 * The context, the Dockerfile and the named contexts. A directory of this machine has only a name
 * in the request. Its path is in `lentPaths`.
 */
interface Contexts extends Pick<BuildRequest, 'context' | 'dockerfile' | 'namedContexts'> {
  /** The paths for the names in the request. */
  readonly lentPaths: ReadonlyMap<string, LentPath>;
}

/**
 * Parses the context of `kiln build`, `--file` and the values of `--build-context`. Throws
 * KILN_FLAG_VALUE.
 */
export function parseContexts(
  context: string,
  file: string | undefined,
  specs: readonly string[],
  warn: (sentence: string) => void,
): Contexts {
  const lentPaths = new Map<string, LentPath>();
  const namedContexts = new Map<string, NamedContextSource>();
  const flag = '--build-context';
  for (const [name, value] of namedValues(specs, { flag, alone: () => '', warn }))
    namedContexts.set(
      name,
      namedContextSource(name, value, (path) => lentPaths.set(name, path)),
    );
  const sources = { dockerfile: dockerfileSource(file), namedContexts, lentPaths };
  if (context === '-') return { ...sources, context: { kind: 'input' } };
  if (isRemote(context)) return { ...sources, context: remoteContext(context) };
  lentPaths.set('context', { kind: 'directory', path: context });
  return { ...sources, context: { kind: 'directory', name: 'context' } };
}

function dockerfileSource(file: string | undefined): DockerfileSource {
  if (file === undefined) return { kind: 'default' };
  // All names of standard input are the same source, because it can be read only once.
  if (STDIN.includes(file)) return { kind: 'input' };
  if (/^https?:\/\//.test(file)) return { kind: 'remote', url: file };
  return { kind: 'file', path: resolve(file), name: file };
}

/**
 * Parses one `--build-context NAME=VALUE`. The value is an image, an OCI layout, a git repository,
 * a file at an http URL, or a directory. `lend` is called with the path of a layout or directory.
 */
function namedContextSource(
  name: string,
  value: string,
  lend: (path: LentPath) => void,
): NamedContextSource {
  if (value === '') throw noSource(name);
  if (value.startsWith(IMAGE)) return namedImage(value.slice(IMAGE.length));
  if (value.startsWith(LAYOUT)) {
    const layout = parseLayoutReference(value);
    lend({ kind: 'oci-layout', path: layout.path });
    return { kind: 'oci-layout', name, suffix: layoutSuffix(layout) };
  }
  if (isRemote(value)) {
    const git = gitRefOf(value);
    if (git && !git.looksLocal) return { kind: 'git', url: value, git };
    if (/^https?:/.test(value)) return { kind: 'http', url: value };
  }
  lend({ kind: 'directory', path: value });
  return { kind: 'directory', name };
}

function namedImage(ref: string): NamedContextSource {
  try {
    return imageContext(ref);
  } catch (error) {
    throw error instanceof KilnError ? error.at({ kind: 'flag', flag: '--build-context' }) : error;
  }
}

function layoutSuffix({ tag, digest }: LayoutReference): string {
  return `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

function noSource(name: string): KilnError {
  return flagError(
    '--build-context',
    `--build-context ${name} has no source`,
    'write NAME=SOURCE with a directory, docker-image://…, oci-layout://… or a URL',
  );
}
