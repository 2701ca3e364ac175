/** All of undici that Kiln uses; in the bundle a file of its own. Its parts load when they are used. */
export const loadRequest = () => import('undici/lib/api/api-request.js');
export const loadPool = () => import('undici/lib/dispatcher/pool.js');
export const loadProxyAgent = () => import('undici/lib/dispatcher/proxy-agent.js');
