import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { type Engine, type EngineOptions, openEngine } from '../builder/engine.ts';
import type { RegistryOptions } from '../registry/client.ts';
import { proxySettings } from '../registry/proxy.ts';
import { shareArena } from '../snapshotter/sys/arenas.ts';
import { mayMount } from '../snapshotter/sys/namespace.ts';
import { closeInTime } from './closing.ts';
import { configuredEmulation } from './emulation-options.ts';
import { gitVariables } from './git-variables.ts';
import { configuredNetwork } from './network-options.ts';
import { stderr } from './output.ts';
import { registrySettings } from './registry-options.ts';
import { rootlessMap } from './rootless.ts';
import { ownStoreRoot } from './store-root.ts';
import { dataDirectory, homeDirectory, isWritable } from './user-directories.ts';
import { VERSION } from './version.ts';

type LocalExtras = Pick<
  EngineOptions,
  'provenanceEnv' | 'endsProcess' | 'observer' | 'otherWorkers'
> &
  Pick<RegistryOptions, 'onAnswer'>;

/**
 * Opens the engine of this process. The environment and kiln.toml decide where its store is and how
 * it reaches registries, proxies and git. `more` is what only a server knows, and who is told what
 * registries were asked. Without `tlsVerify`, registries may use plain http and any certificate.
 * Starts no thread and mounts nothing yet. The caller disposes it.
 */
export function openLocalEngine({ onAnswer, ...more }: LocalExtras = {}, tlsVerify = true): Engine {
  const { env } = process;
  const root = ownStoreRoot();
  const warn = (sentence: string) => void stderr.write(`WARNING: ${sentence}\n`);
  const engine = openEngine({
    ...more,
    root,
    worker: workerEntry(),
    threads: Math.max(2, availableParallelism()),
    beforeThreads: () => {
      limitHeaps();
      enterMountNamespace();
    },
    warn,
    closing: closeInTime,
    stateDirectory,
    registry: async () => ({ ...(await registrySettings(env, tlsVerify)), onAnswer }),
    proxies: () => proxySettings(env),
    git: () => ({
      env: gitVariables(env),
      knownHosts: [join(homeDirectory(env), '.ssh/known_hosts'), '/etc/ssh/ssh_known_hosts'],
    }),
    searchPath: env['PATH'],
    emulation: configuredEmulation(env),
    collect: async ({ store }) => (await import('./gc-later.ts')).collectLater(store.root),
    networkFallback: configuredNetwork(env),
    imageFrontends: async () =>
      (await import('../api/frontends/image-frontend.ts')).imageFrontends(VERSION),
  });
  if (hasNoHome(env))
    warn(
      `the home directory cannot be written, so the store is ${root} (set KILN_ROOT to change it)`,
    );
  return engine;
}

/** The program of the worker threads is beside the bundle, or beside this source file. */
function workerEntry(): URL {
  if (import.meta.url.endsWith('.ts')) return new URL('./worker-thread.ts', import.meta.url);
  return new URL('./worker.cjs', import.meta.url);
}

/**
 * Gives threads that are still to be started a small young generation. The launcher's flags, which
 * are those of the main thread, come before the limits that a thread is started with, and 8 MB for
 * each of the two halves is more than jobs gain from: they work on buffers outside the heap. Two
 * threads take 16 to 28 MB less, and no more time (20,000 files; 2-core VM, 2026-11).
 */
function limitHeaps(): void {
  for (const limit of ['min', 'max']) setFlagsFromString(`--${limit}-semi-space-size=1`);
  shareArena();
}

/**
 * Enters the private mount namespace before the first thread starts, because threads that already
 * run would stay outside it. Without root nothing can be mounted, so no namespace is needed.
 */
function enterMountNamespace(): void {
  if (process.getuid?.() === 0) mayMount();
}

/** Says whether an ordinary user's store is outside the home directory, which is not writable. */
function hasNoHome(env: NodeJS.ProcessEnv): boolean {
  return !env['KILN_ROOT'] && rootlessMap(env) !== undefined && dataDirectory(env).substitute;
}

/** Returns the directory for the state of sandboxes, which must not survive a reboot. */
export function stateDirectory(): string {
  const runtime = rootlessMap() === undefined ? '/run' : process.env['XDG_RUNTIME_DIR'];
  // In a container /run may not be writable, and XDG_RUNTIME_DIR may belong to another user.
  if (runtime && isWritable(join(runtime, 'kiln'))) return join(runtime, 'kiln');
  return join(ownStoreRoot(), 'run');
}
