/** The environment variables that git gets, besides those of proxies. */
const GIT_VARIABLES = ['PATH', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'GIT_SSL_CAINFO', 'GIT_SSL_CAPATH'];
const PROXY_VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'];

/** Returns the environment that git runs with. Git gets no other variable of the process. */
export function gitVariables(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const names = [
    ...GIT_VARIABLES,
    ...PROXY_VARIABLES.flatMap((name) => [name, name.toLowerCase()]),
  ];
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
}
