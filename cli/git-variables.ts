/** What git is given of the environment, besides the proxies. */
const GIT_VARIABLES = ['PATH', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'GIT_SSL_CAINFO', 'GIT_SSL_CAPATH'];
const PROXY_VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'];

/** The variables that git runs with: nothing else of the environment reaches it. */
export function gitVariables(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const names = [
    ...GIT_VARIABLES,
    ...PROXY_VARIABLES.flatMap((name) => [name, name.toLowerCase()]),
  ];
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
}
