import { join } from 'node:path';
import type { Remotes } from '../solver/world.ts';
import type { Engine } from './engine.ts';

/** Makes the services for HTTP and git sources. What they open when used is closed by `scope`. */
export function openRemotes({ store, settings }: Engine, scope: AsyncDisposableStack): Remotes {
  let http: ReturnType<Remotes['http']> | undefined;
  const openHttp = async () => {
    const [{ createFetcher }, { openFetchedFiles }] = await Promise.all([
      import('../registry/fetch.ts'),
      import('../cache/fetched.ts'),
    ]);
    const fetcher = scope.use(createFetcher({ proxies: settings.proxies() }));
    return { fetcher, fetched: openFetchedFiles(store) };
  };
  const git = {
    directory: join(store.root, 'git'),
    env: settings.git().env,
    knownHosts: [join(store.root, 'known_hosts'), ...settings.git().knownHosts],
  };
  return { http: () => (http ??= openHttp()), git: async () => ({ git }) };
}
