import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Collectable } from '../cache/gc/collect.ts';
import { NO_PROXIES } from '../registry/proxy.ts';
import { mayMount } from '../snapshotter/sys/namespace.ts';
import { type Engine, type EngineOptions, openEngine } from './engine.ts';

export type { KilnErrorCode } from '../base/codes.ts';
/**
 * # Kiln as a library
 *
 * The package's public entry (`exports` of package.json). What is not exported here may change with
 * any version.
 *
 *     await using engine = openKiln({ root: '/var/lib/app/kiln' });
 *     const context = { Dockerfile: 'FROM scratch\nCOPY . /\n' };
 *     using session = memorySession({ directories: { context } });
 *     const request = buildRequest({ outputs: [output('type=image', ['app'])] });
 *     const { response } = await build(engine, request, session, () => {}, signal);
 *
 * Nothing here reads the environment, standard streams or the working directory, and nothing ends
 * the process.
 */
export { KilnError, type KilnErrorOptions } from '../base/errors.ts';
export type { Platform } from '../base/platform.ts';
export type { ProgressEvent, ProgressSink } from '../base/progress.ts';
export { parseReference, type Reference } from '../base/reference.ts';
export type { OutputSpec } from '../exporter/output-spec.ts';
export type { Frontend, FrontendInputs, Gateway, SolvedTree } from '../frontend/gateway.ts';
export type { WantedFiles } from '../solver/step-session.ts';
export { type BuildOutcome, build } from './build.ts';
export type { Engine, EngineOptions } from './engine.ts';
export { output } from './output-text.ts';
export {
  type BuildRequest,
  buildRequest,
  type ContextSource,
  type DockerfileSource,
  imageContext,
  type NamedContextSource,
  remoteContext,
} from './request.ts';
export { requestFromJson, requestToJson } from './request-json.ts';
export { type MemorySessionOptions, memorySession } from './session/memory-session.ts';
export { type LentDirectory, NO_AGENTS, type Session, type SessionAgents } from './session.ts';

/** The options of `openKiln`: the directory of the store, and settings in place of the defaults. */
export type KilnOptions = Pick<EngineOptions, 'root'> & Partial<EngineOptions>;

/**
 * Opens an engine. By default it uses no logins and no proxies, and a step whose network cannot be
 * set up shares the network of the host. The cache is collected in this process by BuildKit's
 * default policies, at most once an hour. Throws KILN_STORE_* when the store cannot be used.
 */
export function openKiln(options: KilnOptions): Engine {
  const engine = openEngine({
    worker: workerEntry(),
    threads: Math.max(2, availableParallelism()),
    // A thread has the mount namespace of the thread that starts it: enter the private one first.
    beforeThreads: () => void mayMount(),
    warn: () => {},
    stateDirectory: () => join(options.root, 'run'),
    registry: async () => ({ proxies: NO_PROXIES }),
    proxies: () => NO_PROXIES,
    git: () => ({ env: {}, knownHosts: [] }),
    emulation: {},
    networkFallback: async () => 'host',
    collect: collectHere,
    ...options,
  });
  let closed: Promise<void> | undefined;
  return {
    ...engine,
    [Symbol.asyncDispose]: () => (closed ??= Promise.resolve(engine[Symbol.asyncDispose]())),
  };
}

/** Collects the cache in this process, by BuildKit's default policies. */
async function collectHere(what: Collectable): Promise<void> {
  const [{ diskOf, prune }, { defaultLimits, defaultPolicies }] = await Promise.all([
    import('../cache/gc/collect.ts'),
    import('../cache/gc/policy.ts'),
  ]);
  const policies = defaultPolicies(defaultLimits(diskOf(what.store.root)));
  await prune(what, policies, new AbortController().signal);
}

/** The module of a worker thread: a source file, or a file beside the bundle of this one. */
function workerEntry(): URL {
  return import.meta.url.endsWith('.ts')
    ? new URL('../cli/worker-thread.ts', import.meta.url)
    : new URL('./worker.cjs', import.meta.url);
}
