/**
 * All parts of undici that Kiln uses. They form a separate file in the bundle, and are loaded when
 * they are used.
 */
export const loadRequest = () => import('undici/lib/api/api-request.js');
export const loadPool = () => import('undici/lib/dispatcher/pool.js');
export const loadProxyAgent = () => import('undici/lib/dispatcher/proxy-agent.js');
