import { join } from 'node:path';
import type { Remotes } from '../solver/world.ts';
import type { Engine } from './engine.ts';

/** Makes the services for HTTP and git sources. What they open is closed with the engine. */
export function openRemotes({ store, settings, scope }: Engine): Remotes {
  let http: ReturnType<Remotes['http']> | undefined;
  const openHttp = async () => {
    const [{ createFetcher }, { openFetchedFiles }] = await Promise.all([
      import('../registry/fetch.ts'),
      import('../cache/fetched.ts'),
    ]);
    const fetcher = scope.use(createFetcher({ proxies: settings.proxies() }));
    return { fetcher, fetched: openFetchedFiles(store) };
  };
  const openGit: Remotes['git'] = async () => {
    const { env, knownHosts } = settings.git();
    return {
      git: {
        directory: join(store.root, 'git'),
        env,
        knownHosts: [join(store.root, 'known_hosts'), ...knownHosts],
      },
    };
  };
  return { http: () => (http ??= openHttp()), git: openGit };
}
