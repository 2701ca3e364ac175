import { execFileSync } from 'node:child_process';
import { chmodSync, lutimesSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Comparable, Files, GoldenCase } from './case.ts';

/** The time of every file in a context, so that results do not depend on the time of the test. */
const CONTEXT_TIME = 1_700_000_000;

/** A build that both engines can run. */
export interface Prepared {
  /** The working directory. All paths in `args` are relative to it. */
  readonly cwd: string;
  /** The arguments after `build` and the flags of the engine. The context is the last one. */
  readonly args: readonly string[];
  readonly stdin: string | Uint8Array;
}

/**
 * Writes the files of a case below `home` and returns how to build it. `stamp` is part of the names
 * of directories. Otherwise BuildKit would update its copy of an earlier context with the same name
 * and lose times of files.
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
    // The Dockerfile is `{name}/Dockerfile`, outside the context.
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

/** Writes files below `root`. Every file and directory gets the same time. */
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
 * Reduces an image to what can be compared. Times that the build made are replaced by a word, and
 * times that come from the context are kept. Digests of layers are left out, because such times
 * are in layers. With `times`, only the digests are left out.
 *
 * Docker's mounts of hosts and resolv.conf change the time of /etc, which is then in each layer
 * that changes a file there. Kiln restores that time. So /etc itself is compared only when a build
 * changed more than its time.
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
