import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLockFile } from '../../../snapshotter/overlay/lockfile.ts';
import { gitFailure, noSuchCommit } from './failures.ts';
import type { GitHost } from './host.ts';
import type { Git } from './repository.ts';

/**
 * A bare repository in the store with everything that was fetched from one remote. One process at a
 * time uses it.
 */
export interface Mirror {
  readonly directory: string;
  /** The variables that make git use this repository. */
  readonly env: Readonly<Record<string, string>>;
}

/** A commit or an annotated tag of a remote. */
export interface WantedObject {
  readonly remote: string;
  readonly object: string;
}

/**
 * Runs `body` with the mirror of `remote`, after `object` and everything that it needs has been
 * fetched to it. The object is fetched alone and without its history if the server allows that.
 */
export async function withObject<T>(
  { remote, object }: WantedObject,
  host: GitHost,
  git: Git,
  signal: AbortSignal,
  body: (mirror: Mirror) => Promise<T>,
): Promise<T> {
  const name = createHash('sha256').update(`${object.length} ${remote}`).digest('hex').slice(0, 32);
  const directory = join(host.directory, name);
  mkdirSync(host.directory, { recursive: true, mode: 0o700 });
  return await withLockFile(`${directory}.lock`, signal, async () => {
    const mirror: Mirror = { directory, env: { GIT_DIR: directory } };
    await initialise(mirror, object, git);
    await fetchObject(mirror, remote, object, git);
    return await body(mirror);
  });
}

async function initialise({ directory, env }: Mirror, object: string, git: Git): Promise<void> {
  // Removes the locks of a killed git. No other process uses the mirror now.
  for (const file of ['shallow', 'packed-refs', 'config', 'HEAD', 'kiln-index', keepRef(object)])
    rmSync(join(directory, `${file}.lock`), { force: true });
  // This file is written last. Without it the repository is incomplete and is made again.
  const ready = join(directory, 'kiln-ready');
  if (existsSync(ready)) return;
  const format = object.length === 64 ? 'sha256' : 'sha1';
  await git.run(
    `make ${directory}`,
    ['init', '--quiet', '--bare', '--template=', `--object-format=${format}`, '--', directory],
    {
      env,
    },
  );
  writeFileSync(ready, '');
}

/**
 * The ref that keeps a fetched object. git writes it only after it has checked that everything the
 * object needs is there.
 */
export function keepRef(object: string): string {
  return `refs/kiln/${object}`;
}

async function fetchObject(
  { env, directory }: Mirror,
  remote: string,
  object: string,
  git: Git,
): Promise<void> {
  const ref = keepRef(object);
  const known = await git.tryRun(['rev-parse', '--quiet', '--verify', ref], { env });
  if (known.code === 0) return;
  const what = `fetch ${remote}`;
  const fetch = (...args: string[]) =>
    git.tryRun(
      [
        'fetch',
        '--no-tags',
        '--no-recurse-submodules',
        '--no-write-fetch-head',
        '--force',
        ...args,
      ],
      {
        env,
        remote: true,
      },
    );
  const alone = await fetch('--depth=1', '--', remote, `${object}:${ref}`);
  if (alone.code === 0) return;
  // A plain file server gives each object by its id, but not without its history. So a tag is found
  // that has moved since it was looked up.
  if (/dumb http transport/i.test(alone.stderr)) {
    const walked = await fetch('--', remote, `${object}:${ref}`);
    if (walked.code === 0) return;
  }
  // An old server gives only what a ref points to. Then everything is fetched.
  if (
    !/not our ref|unadvertised object|shallow|couldn't find remote ref|no such remote ref/i.test(
      alone.stderr,
    )
  )
    throw gitFailure(what, alone);
  const whole = existsSync(join(directory, 'shallow')) ? ['--unshallow'] : [];
  const all = await fetch(
    ...whole,
    '--',
    remote,
    '+refs/heads/*:refs/remote/heads/*',
    '+refs/tags/*:refs/remote/tags/*',
  );
  if (all.code !== 0) throw gitFailure(what, all);
  const update = await git.tryRun(['update-ref', ref, object], { env });
  if (update.code !== 0) throw noSuchCommit(remote, object);
}
