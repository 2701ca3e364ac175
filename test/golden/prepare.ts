import { execFileSync } from 'node:child_process';
import { chmodSync, lutimesSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Comparable, Files, GoldenCase } from './case.ts';

/** All times in a golden context: what is compared must not depend on when the test runs. */
const CONTEXT_TIME = 1_700_000_000;

/** A build that is ready to be run by either engine. */
export interface Prepared {
  /** Where to run it; all paths in `args` are relative to it. */
  readonly cwd: string;
  /** Everything behind `build` and the engine's own flags, the context last. */
  readonly args: readonly string[];
  readonly stdin: string | Uint8Array;
}

/**
 * Writes what a case needs into `home` and says how it is built. `stamp` is part of all names of
 * directories: BuildKit updates what it kept of an earlier context of the same name, and forgets
 * times on the way.
 */
export function prepare(home: string, test: GoldenCase, stamp = ''): Prepared {
  const named = (name: string) => `${name}-${test.name}${stamp}`;
  const context = named('context');
  const fromStdin = test.stdin === 'dockerfile' || test.stdin === 'dockerfile-of-context';
  const own = fromStdin ? {} : { [test.file ?? 'Dockerfile']: test.dockerfile };
  writeTree(
    join(home, context),
    test.file?.includes('/') ? { ...test.files } : { ...own, ...test.files },
    test,
  );
  if (test.file?.includes('/')) {
    // `{name}/Dockerfile`: outside of the context.
    writeTree(join(home, placed(dirname(test.file), named)), {
      [test.file.replace(/.*\//, '')]: test.dockerfile,
    });
  }
  for (const [name, files] of Object.entries(test.outside ?? {}))
    writeTree(join(home, named(name)), files);
  const args = (test.args ?? []).map((arg) => placed(arg, named));
  if (test.stdin === 'dockerfile')
    return { cwd: home, args: [...args, '-'], stdin: test.dockerfile };
  if (test.stdin === 'dockerfile-of-context')
    return { cwd: home, args: [...args, '-f', '-', context], stdin: test.dockerfile };
  if (test.stdin)
    return { cwd: home, args: [...args, '-'], stdin: archived(join(home, context), test.stdin) };
  return { cwd: home, args: [...args, context], stdin: '' };
}

const placed = (text: string, named: (name: string) => string) =>
  text.replace(/\{([a-z]+)\}/g, (_, name) => named(name));

function archived(directory: string, kind: 'tar' | 'tar.gz'): Uint8Array {
  const tar = execFileSync('tar', [
    '-C',
    directory,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--sort=name',
    '-c',
    '.',
  ]);
  return kind === 'tar' ? tar : execFileSync('gzip', ['-n'], { input: tar });
}

/** Every file and directory has the same time, so that copied times compare. */
function writeTree(root: string, files: Files, test: Partial<GoldenCase> = {}): void {
  mkdirSync(root, { recursive: true, mode: 0o755 });
  const directories = new Set<string>([root]);
  const place = (name: string) => {
    const path = join(root, name);
    for (let parent = dirname(path); parent.length > root.length; parent = dirname(parent))
      directories.add(parent);
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    return path;
  };
  for (const [name, content] of Object.entries(files)) {
    const path = place(name);
    if (name.endsWith('/')) {
      mkdirSync(path, { recursive: true });
      directories.add(path.replace(/\/$/, ''));
      continue;
    }
    writeFileSync(path, content);
    chmodSync(path, 0o644);
    utimesSync(path, CONTEXT_TIME, CONTEXT_TIME);
  }
  for (const [name, target] of Object.entries(test.links ?? {})) {
    symlinkSync(target, place(name));
    lutimesSync(join(root, name), CONTEXT_TIME, CONTEXT_TIME);
  }
  for (const [name, mode] of Object.entries(test.modes ?? {})) chmodSync(join(root, name), mode);
  for (const [name, attributes] of Object.entries(test.xattrs ?? {}))
    setAttributes(join(root, name), attributes);
  const settle = () => {
    for (const path of [...directories].sort().reverse())
      utimesSync(path, CONTEXT_TIME, CONTEXT_TIME);
  };
  settle();
  for (const [name, { of, program }] of Object.entries(test.archives ?? {}))
    writeArchive(place(name), join(root, of), program, test.xattrs !== undefined);
  settle();
}

function writeArchive(
  path: string,
  directory: string,
  program: string | undefined,
  xattrs: boolean,
): void {
  const tar = execFileSync('tar', [
    ...['-C', directory, '--owner=5', '--group=6', '--numeric-owner', '--sort=name'],
    ...(xattrs ? ['--xattrs', '--xattrs-include=*'] : []),
    ...['-c', '.'],
  ]);
  const quick = program === 'gzip' ? ['-n', '-c'] : ['-c'];
  writeFileSync(path, program === undefined ? tar : execFileSync(program, quick, { input: tar }));
  chmodSync(path, 0o644);
  utimesSync(path, CONTEXT_TIME, CONTEXT_TIME);
}

function setAttributes(path: string, attributes: Readonly<Record<string, string>>): void {
  const program =
    'import base64,os,sys\n' +
    'for a in sys.argv[2:]: k,v=a.split("=",1); os.setxattr(sys.argv[1],k,' +
    'base64.b64decode(v))';
  execFileSync('python3', [
    '-c',
    program,
    path,
    ...Object.entries(attributes).map(([key, value]) => `${key}=${value}`),
  ]);
}

/**
 * What may be compared: times that the build itself made are replaced by a word (both engines make
 * them when they run; times that come from the context stay), digests of layers hold such times and
 * are left out. With `times` all but the digests stays.
 *
 * Docker's mount points of hosts and resolv.conf leave their time on /etc, which is then in each
 * layer that changes a file there; Kiln puts the time back. So /etc itself is not compared unless a
 * build did something to it.
 */
export function comparable(
  image: Comparable,
  { times = false }: { readonly times?: boolean | undefined } = {},
): Comparable {
  delete image.config.rootfs;
  if (times) return image;
  for (const entry of Object.values(image.tree)) {
    if (entry && entry['mtime'] !== CONTEXT_TIME) entry['mtime'] = 'build time';
  }
  const etc = image.tree['/etc'];
  if (etc?.['mode'] === '0o755' && etc['uid'] === 0) delete image.tree['/etc'];
  delete image.config.created;
  for (const entry of image.config.history ?? []) delete entry.created;
  return image;
}
