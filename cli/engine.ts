import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { type Engine, openEngine } from '../builder/engine.ts';
import { proxySettings } from '../registry/proxy.ts';
import { mayMount } from '../snapshotter/sys/namespace.ts';
import { dataDirectory, homeDirectory, isWritable } from './caller.ts';
import { closed } from './closing.ts';
import { configuredEmulation } from './emulation-options.ts';
import { gitVariables } from './git-variables.ts';
import { configuredNetwork } from './network-options.ts';
import { stderr } from './output.ts';
import { registryOptions } from './registry-options.ts';
import { rootlessMap } from './rootless.ts';

/**
 * The engine of this process: its store is where the environment says, and the environment and
 * kiln.toml decide the rest.
 */
export function openLocalEngine(): Engine {
  const { env } = process;
  const root = resolve(storeRoot(env, process.getuid?.() ?? 0));
  const warn = (sentence: string) => void stderr.write(`WARNING: ${sentence}\n`);
  const engine = openEngine({
    root,
    worker: workerEntry(),
    threads: Math.max(2, availableParallelism()),
    beforeThreads: enterMountsAsRoot,
    warn,
    closing: closed,
    stateDirectory,
    registry: () => registryOptions(env),
    proxies: () => proxySettings(env),
    git: () => ({
      env: gitVariables(env),
      knownHosts: [join(homeDirectory(env), '.ssh/known_hosts'), '/etc/ssh/ssh_known_hosts'],
    }),
    searchPath: env['PATH'],
    emulation: configuredEmulation(env),
    collect: async ({ store }) => (await import('./gc-later.ts')).collectLater(store.root),
    networkFallback: configuredNetwork(env),
  });
  if (hasNoHome(env))
    warn(`the home directory cannot be written: the store is ${root} (KILN_ROOT names another)`);
  return engine;
}

/** Beside the bundle, or this source file. */
function workerEntry(): URL {
  if (import.meta.url.endsWith('.ts')) return new URL('./worker.ts', import.meta.url);
  return new URL('./worker.cjs', import.meta.url);
}

/** Where nothing can be mounted there is nothing for threads to see. */
function enterMountsAsRoot(): void {
  if (process.getuid?.() === 0) mayMount();
}

/**
 * KILN_ROOT, or /var/lib/kiln for root, or the user's data directory; `own` ids have a store apart
 * (rootless.ts).
 */
export function storeRoot(env: NodeJS.ProcessEnv, uid: number): string {
  if (env['KILN_ROOT']) return env['KILN_ROOT'];
  const map = rootlessMap(env);
  if (uid === 0 && map === undefined) return '/var/lib/kiln';
  return join(dataDirectory(env).path, map === 'own' ? 'kiln-own-ids' : 'kiln');
}

/** Whether the store of an ordinary user is where it is for want of a better place. */
function hasNoHome(env: NodeJS.ProcessEnv): boolean {
  return !env['KILN_ROOT'] && rootlessMap(env) !== undefined && dataDirectory(env).substitute;
}

/** Where sandboxes keep what must not outlive the machine's run. */
export function stateDirectory(): string {
  const runtime = rootlessMap() === undefined ? '/run' : process.env['XDG_RUNTIME_DIR'];
  // A container may have none that can be written; a variable may be left over from another user.
  if (runtime && isWritable(join(runtime, 'kiln'))) return join(runtime, 'kiln');
  return resolve(storeRoot(process.env, process.getuid?.() ?? 0), 'run');
}
