import { join } from 'node:path';
import { homeDirectory } from '../cli/caller.ts';
import type { Store } from '../snapshotter/store/root.ts';
import type { Remotes } from '../solver/world.ts';

/** What git is given of the environment, besides the proxies. */
const GIT_VARIABLES = ['PATH', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'GIT_SSL_CAINFO', 'GIT_SSL_CAPATH'];
const PROXY_VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'];

/** The services of http and git sources; what was opened is closed with `scope`. */
export function openRemotes(
  store: Store,
  env: Readonly<Record<string, string | undefined>>,
  scope: AsyncDisposableStack,
): Remotes {
  let http: ReturnType<Remotes['http']> | undefined;
  const openHttp = async () => {
    const [{ createFetcher }, { proxySettings }, { openFetchedFiles }] = await Promise.all([
      import('../registry/fetch.ts'),
      import('../registry/proxy.ts'),
      import('../cache/fetched.ts'),
    ]);
    const fetcher = scope.use(createFetcher({ proxies: proxySettings(env) }));
    return { fetcher, fetched: openFetchedFiles(store) };
  };
  const git = {
    directory: join(store.root, 'git'),
    env: gitVariables(env),
    knownHosts: [join(store.root, 'known_hosts'), join(homeDirectory(env), '.ssh/known_hosts'), '/etc/ssh/ssh_known_hosts'],
  };
  return { http: () => (http ??= openHttp()), git: async () => ({ git }) };
}

function gitVariables(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const names = [...GIT_VARIABLES, ...PROXY_VARIABLES.flatMap((name) => [name, name.toLowerCase()])];
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
}
