import { join } from 'node:path';
import { KilnError } from '../../base/errors.ts';

/** The flags of `buildctl build`. */
export interface BuildFlags {
  readonly frontend?: string;
  readonly opt?: string[];
  readonly local?: string[];
  readonly output?: string[];
  readonly secret?: string[];
  readonly ssh?: string[];
  readonly allow?: string[];
  readonly exportCache?: string[];
  readonly importCache?: string[];
  readonly ociLayout?: string[];
  readonly progress?: string;
  readonly metadataFile?: string;
  readonly noCache?: boolean;
}

/**
 * Returns the words of the `kiln build` that does what `buildctl build` is asked for. Throws
 * KILN_USAGE for what has no counterpart, such as a graph on standard input.
 */
export function buildWords(flags: BuildFlags): readonly string[] {
  const options = pairs(flags.opt, '--opt');
  refuseFrontend(flags.frontend, options);
  const locals = new Map(pairs(flags.local, '--local'));
  const layouts = new Map(pairs(flags.ociLayout, '--oci-layout'));
  const words: string[] = [];
  for (const [name, value] of options) words.push(...wordsOf(name, value, locals, layouts));
  const given = new Map(options);
  const context = given.get('context') ?? locals.get('context');
  const dockerfile = locals.get('dockerfile');
  const filename = given.get('filename') ?? 'Dockerfile';
  if (dockerfile !== undefined) words.push('--file', join(dockerfile, filename));
  else if (given.has('filename')) words.push('--file', filename);
  const lists: readonly [string, readonly string[] | undefined][] = [
    ['--output', flags.output],
    ['--secret', flags.secret],
    ['--ssh', flags.ssh],
    ['--allow', flags.allow],
    ['--cache-to', flags.exportCache],
    ['--cache-from', flags.importCache],
    ['--progress', flags.progress === undefined ? [] : [flags.progress]],
    ['--metadata-file', flags.metadataFile === undefined ? [] : [flags.metadataFile]],
  ];
  for (const [flag, values = []] of lists) words.push(...values.map((one) => `${flag}=${one}`));
  if (flags.noCache) words.push('--no-cache');
  if (context === undefined)
    throw unsupported('the build has no context', 'give --local context=DIRECTORY');
  return [...words, '--', context];
}

function refuseFrontend(frontend: string | undefined, options: readonly Pair[]): void {
  if (frontend === 'dockerfile.v0') return;
  if (frontend === undefined)
    throw unsupported(
      'a graph on standard input cannot be built by buildctl',
      'give --frontend dockerfile.v0',
    );
  const source = options.find(([name]) => name === 'source')?.[1] ?? '';
  if (frontend === 'gateway.v0' && /^docker\/dockerfile(?::|$)/.test(source)) return;
  throw unsupported(
    `buildctl does not know the frontend ${frontend} ${source}`.trimEnd(),
    "give --frontend dockerfile.v0, and name another frontend in the Dockerfile's syntax line",
  );
}

/** Options with one counterpart. The words of the flag come before the value. */
const FLAGS: Readonly<Record<string, string>> = {
  target: '--target',
  platform: '--platform',
  'force-network-mode': '--network',
  'shm-size': '--shm-size',
  'cgroup-parent': '--cgroup-parent',
};

/** Options that are read elsewhere, or that say what Kiln does anyway. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  'context',
  'filename',
  'source',
  'cmdline',
  'multi-platform',
]);

function wordsOf(
  name: string,
  value: string,
  locals: ReadonlyMap<string, string>,
  layouts: ReadonlyMap<string, string>,
): readonly string[] {
  if (ELSEWHERE.has(name)) return [];
  const flag = FLAGS[name];
  if (flag !== undefined) return [`${flag}=${value}`];
  const [kind = '', rest = ''] = split(name, ':');
  if (kind === 'build-arg' || kind === 'label') return [`--${kind}=${rest}=${value}`];
  if (kind === 'attest') return [`--attest=type=${rest}${value === '' ? '' : `,${value}`}`];
  if (kind === 'context') return [`--build-context=${rest}=${contextOf(value, locals, layouts)}`];
  if (name === 'no-cache') return value === '' ? ['--no-cache'] : [`--no-cache-filter=${value}`];
  if (name === 'add-hosts')
    return value.split(',').map((host) => `--add-host=${host.replace('=', ':')}`);
  if (name === 'ulimit') return value.split(',').map((limit) => `--ulimit=${limit}`);
  if (name === 'image-resolve-mode') return value === 'pull' ? ['--pull'] : [];
  throw unsupported(
    `buildctl does not know the option ${name}`,
    "'kiln build --help' lists what Kiln can do",
  );
}

function contextOf(
  value: string,
  locals: ReadonlyMap<string, string>,
  layouts: ReadonlyMap<string, string>,
): string {
  const [kind = '', rest = ''] = split(value, ':');
  if (kind === 'local') return locals.get(rest) ?? value;
  if (kind !== 'oci-layout') return value;
  const [store = '', reference = ''] = split(rest.replace(/^\/\//, ''), '@');
  return `oci-layout://${layouts.get(store) ?? store}${reference === '' ? '' : `@${reference}`}`;
}

type Pair = readonly [name: string, value: string];

function pairs(texts: readonly string[] = [], flag: string): readonly Pair[] {
  return texts.map((text) => {
    const [name = '', value] = split(text, '=');
    if (value !== undefined) return [name, value];
    throw new KilnError('KILN_FLAG_VALUE', `${JSON.stringify(text)} is not NAME=VALUE`, {
      place: { kind: 'flag', flag },
      exitCode: 2,
    });
  });
}

function split(text: string, separator: string): readonly [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function unsupported(message: string, hint: string): KilnError {
  return new KilnError('KILN_USAGE', message, { hint, exitCode: 2 });
}
