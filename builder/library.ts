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
  type NamedContextSource,
} from './request.ts';
export { requestFromJson, requestToJson } from './request-json.ts';
export { type MemorySessionOptions, memorySession } from './session/memory-session.ts';
export { type LentDirectory, NO_AGENTS, type Session, type SessionAgents } from './session.ts';

/** What a program says of its engine: where the store is, and what differs from a plain one. */
export type KilnOptions = Pick<EngineOptions, 'root'> & Partial<EngineOptions>;

/**
 * An engine whose registries are spoken to without logins or proxies, and whose steps share the
 * host's network where they get none. Its cache is collected by BuildKit's default policies, at
 * most once an hour; `collect` says otherwise.
 */
export function openKiln(options: KilnOptions): Engine {
  const engine = openEngine({
    worker: workerEntry(),
    threads: Math.max(2, availableParallelism()),
    // Threads see the mounts of the thread that starts them: the private namespace comes first.
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

/** A collection in this process, by BuildKit's default policies. */
async function collectHere(what: Collectable): Promise<void> {
  const [{ diskOf, prune }, { defaultLimits, defaultPolicies }] = await Promise.all([
    import('../cache/gc/collect.ts'),
    import('../cache/gc/policy.ts'),
  ]);
  const policies = defaultPolicies(defaultLimits(diskOf(what.store.root)));
  await prune(what, policies, new AbortController().signal);
}

/** Beside the bundle, or the source of the worker. */
function workerEntry(): URL {
  return import.meta.url.endsWith('.ts')
    ? new URL('../cli/worker-thread.ts', import.meta.url)
    : new URL('./worker.cjs', import.meta.url);
}
